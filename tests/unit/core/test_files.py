"""A file is the old one or the new one, whatever happens while it is written."""

import pytest

from tianqin_backtrader.core.files import replacing, unfinished


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_file_is_there_when_it_is_whole(tmp_path, durable):
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    with replacing(path, durable=durable) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_an_error_within_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "state.json"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"ne")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_where_nothing_can_be_written_it_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "gone" / "state.json") as file:
        file.write(b"new")


def test_what_a_killed_program_has_left_is_written_over(tmp_path):
    path = tmp_path / "state.json"
    path.with_name(unfinished(path.name)).write_bytes(b"half a file, longer than the new one")
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1
