import re

import pytest
from processes import ROOT


@pytest.mark.slow
def test_the_readmes_python_runs(tmp_path, run_python):
    text = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(block.strip().splitlines()) <= 15
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{block}\nprint(features.shape)"
    assert run_python(script, cwd=tmp_path, new=True).splitlines()[-1] == "(64, 128)"
    assert (tmp_path / "saved_models" / "mine" / "1" / "saved_model.pb").exists()
