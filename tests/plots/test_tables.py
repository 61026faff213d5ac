from simclr_keras.plots.tables import table


def test_all_is_text_and_numbers_stay_on_one_line():
    text = table(
        ["top-1", "<b>"], [["78.8 %", "5,000 labels"], ["<i>", "7 of the many names here"]]
    )
    assert '<td class="number">78.8 %</td><td class="number">5,000 labels</td>' in text
    assert "<td>&lt;i&gt;</td><td>7 of the many names here</td>" in text
    assert "<th>&lt;b&gt;</th>" in text and text.count("<tr>") == 3
