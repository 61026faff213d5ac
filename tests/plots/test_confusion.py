import re

from simclr_keras.plots.confusion import class_bars, confusion_matrix


def test_each_cell_says_what_was_taken_for_what():
    text = confusion_matrix(["cat", "dog", "<b>"], [[8, 2, 0], [1, 9, 0], [0, 0, 0]])
    assert "dog taken for cat: 1 of 10 (10 %)" in text and "<b>" not in text
    assert len(re.findall('class="right"', text)) == len(re.findall('class="wrong"', text)) == 2
    assert "cat for dog (2 of 10); dog for cat (1 of 10)." in text


def test_all_right():
    assert "No image" in confusion_matrix(["a", "b"], [[1, 0], [0, 1]])


def test_many_classes_have_neither_numbers_nor_labels():
    counts = [[int(i == j) for j in range(100)] for i in range(100)]
    text = confusion_matrix([f"c{i}" for i in range(100)], counts)
    assert "<text" not in text and text.count("<rect") == 100


def test_the_worst_classes_come_first():
    def of(count):
        return {f"<c{i}>": {"accuracy": i / count, "images": 5} for i in reversed(range(count))}

    few, many = class_bars(of(3)), class_bars(of(30))
    assert re.findall(r"&lt;(c\d+)&gt;", few) == ["c0", "c1", "c2"]
    assert "The 24 worst of 30 classes" in many and many.count("<tr>") == 24
