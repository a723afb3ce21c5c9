"""The bank's answers: each once, whole, and as they were; the bank's folder stays as it is."""

import os

import pytest
from sqlalchemy import Engine, text

from settlement.delivery import channel, fetching
from settlement.delivery.fetching import Fetched, fetch_answers
from tests.integration.settlement.delivery.conftest import Post, Told


def _fetch(post: Post) -> Fetched:
    found: Fetched = post.act(fetch_answers)
    return found


def _inbox(post: Post) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in post.settings.files.inbox.iterdir()
        if path.name != fetching.SEEN
    }


def test_each_answer_once(post: Post) -> None:
    (post.root / "out/one.xml").write_bytes(b"<one/>" * 100_000)
    (post.root / "out/two.xml").write_bytes(b"<two/>")
    for unfinished in (".hidden", "three.xml.part", "four.tmp"):
        (post.root / "out" / unfinished).write_bytes(b"<half")
    (post.root / "out/folder").mkdir()
    assert _fetch(post) == Fetched(("one.xml", "two.xml"))
    assert _fetch(post) == Fetched()
    assert _inbox(post) == {"one.xml": b"<one/>" * 100_000, "two.xml": b"<two/>"}
    assert (post.root / "out/one.xml").exists(), "nothing is removed at the bank"


def test_what_was_taken_in_is_not_fetched_again(post: Post, owner: Engine) -> None:
    (post.root / "out/one.xml").write_bytes(b"<one/>")
    _fetch(post)
    taken = post.settings.files.inbox / "one.xml"
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO inbound_file VALUES (1, 1, 'one.xml', :sha, 6, '', '', now(),"
                " 'x', 'archived', '')"
            ),
            {"sha": fetching.sha256_of(taken)},
        )
    taken.unlink()
    assert _fetch(post) == Fetched()
    (post.settings.files.inbox / fetching.SEEN).unlink()  # what was seen can be forgotten
    assert _fetch(post) == Fetched()
    assert _inbox(post) == {}


def test_an_answer_lost_from_the_inbox_before_it_was_taken_in_is_fetched_again(folder: Post) -> None:
    (folder.root / "out/one.xml").write_bytes(b"<one/>")
    _fetch(folder)
    (folder.settings.files.inbox / "one.xml").unlink()
    assert _fetch(folder) == Fetched(("one.xml",))


def test_a_name_that_the_bank_uses_again(post: Post) -> None:
    answer = post.root / "out/statement.xml"
    answer.write_bytes(b"<one/>")
    _fetch(post)
    answer.write_bytes(b"<two/>")
    os.utime(answer, (1, 1))
    fetched = _fetch(post)
    assert len(fetched.names) == 1
    assert sorted(_inbox(post).values()) == [b"<one/>", b"<two/>"]
    assert _fetch(post) == Fetched()


def test_an_answer_too_large_keeps_no_other_back(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (channel, fetching):
        monkeypatch.setattr(module, "FILE_BYTES_MAX", 1_000)
    (post.root / "out/large.xml").write_bytes(b"x" * 1_001)
    (post.root / "out/small.xml").write_bytes(b"x")
    fetched = _fetch(post)
    assert fetched.names == ("small.xml",)
    assert "1,001 bytes are more than 1,000" in fetched.problems[0]


def test_an_answer_that_is_still_being_written(folder: Post) -> None:
    growing = folder.root / "out/a.xml"
    growing.write_bytes(b"<half")
    (folder.root / "out/b.xml").write_bytes(b"<b/>")
    with fetching.line(folder.settings.delivery) as line:
        listed = line.answers()
        growing.write_bytes(b"<half and more/>")
        line.answers = lambda: listed  # type: ignore[method-assign]
        fetched = folder.act(lambda frame: fetching.fetch(frame.connection, line, frame.settings, Told()))
    assert fetched.names == ("b.xml",)
    assert "is taken next time" in fetched.problems[0]
    assert _inbox(folder) == {"b.xml": b"<b/>"}
    assert _fetch(folder).names == ("a.xml",)


def test_a_line_that_is_down_is_told(sftp: Post) -> None:
    assert sftp.bank is not None
    (sftp.root / "out/one.xml").write_bytes(b"<one/>")
    sftp.bank.fault(sftp.user, "read", "lose")
    fetched = _fetch(sftp)
    assert fetched.names == ()
    assert "the connection was lost" in fetched.problems[0]
    assert _fetch(sftp).names == ("one.xml",)


def test_a_link_out_of_the_folder_is_not_followed(post: Post) -> None:
    (post.root / "out/passwd").symlink_to("/etc/passwd")
    assert _fetch(post) == Fetched()


@pytest.mark.parametrize("bad", [b"\xc0\xcc\xc3\xbc.xml", b"a\nb.xml", b"a\x1b[2Jb.xml", b"b\\..\\a.xml"])
def test_a_name_that_cannot_be_kept_is_told_and_keeps_no_other_back(post: Post, bad: bytes) -> None:
    (post.root / "out/one.xml").write_bytes(b"<one/>")
    (post.root / "out" / os.fsdecode(bad)).write_bytes(b"<two/>")
    found = _fetch(post)
    assert found.names == ("one.xml",)
    assert "under another" in found.problems[0]
    assert found.problems[0].isprintable()
    assert _inbox(post) == {"one.xml": b"<one/>"}


def test_two_programs_do_not_fetch_at_once(folder: Post) -> None:
    (folder.root / "out/one.xml").write_bytes(b"<one/>")
    (folder.root / "out/two.xml").write_bytes(b"<two/>")
    meanwhile: list[Fetched] = []
    told = Told("fetch:put", lambda: meanwhile.append(_fetch(folder)))
    assert folder.act(fetch_answers, told) == Fetched(("one.xml", "two.xml"))
    assert [one.names for one in meanwhile] == [(), ()]
    assert "just now" in meanwhile[0].problems[0]
    (folder.root / "out/three.xml").write_bytes(b"<three/>")
    assert _fetch(folder) == Fetched(("three.xml",))


def test_an_answer_that_drips_for_ever_is_broken_off(sftp: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sftp.bank is not None
    (sftp.root / "out/one.xml").write_bytes(b"<one/>")
    monkeypatch.setattr("settlement.delivery.sftp.ACT_S_MAX", 0.3)
    sftp.bank.fault(sftp.user, "read", "hang")
    slow = sftp.with_delivery(timeout_s=25)
    assert "not done within" in _fetch(slow).problems[0]
