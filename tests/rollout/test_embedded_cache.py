"""What lies beside the embedded model in the cache."""

from pettingllms.models import embedded


def test_what_a_conversion_that_was_cut_off_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("PETTINGLLMS_CACHE", str(tmp_path))
    left = embedded.cache_folder().parent / "converting-x7" / "model"
    left.mkdir(parents=True)
    (left / "model.safetensors").touch()
    seen = []

    def convert(source, folder):
        seen.append(left.parent.exists())
        folder.mkdir()
        (folder / embedded.DONE_FILE).touch()

    monkeypatch.setattr(embedded, "gguf_file", lambda: tmp_path)
    monkeypatch.setattr(embedded, "_convert", convert)
    folder = embedded.ensure_converted(lambda text: None)
    assert seen == [False]
    assert embedded.ensure_converted(lambda text: None) == folder == embedded.cache_folder()
    assert seen == [False]
