"""Progress is drawn only where somebody watches, and never changes what is done."""

import io
import logging
import sys

import pytest

from hashloom import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch):
    """Opens a terminal; to be called in the test, because pytest puts its own standard error in place before it."""

    def there() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm")
        return screen

    yield there
    progress.watch(False)


def test_nothing_is_drawn_unless_asked_for(opened):
    terminal = opened()
    with progress.stage("learning"):
        assert list(progress.track(iter("ab"), "posts")) == ["a", "b"]
    assert terminal.getvalue() == ""


def test_nothing_is_drawn_where_there_is_no_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    assert not progress.watch()
    with progress.stage("learning"):
        pass
    assert screen.getvalue() == ""


def test_a_terminal_shows_stages_within_stages(opened):
    terminal = opened()
    assert progress.watch()
    with progress.stage("learning"):
        assert list(progress.track(range(3), "[posts]")) == [0, 1, 2]
    shown = terminal.getvalue()
    assert "learning" in shown
    assert "[posts]" in shown
    assert progress._Screen.display is None


def test_what_the_library_logs_stands_on_the_line_of_the_stage(opened):
    terminal = opened()
    progress.watch(True)
    log = logging.getLogger("hashloom.recommenders.linear")
    with progress.stage("training"), progress.stage("inner"):
        log.info("learning %s", "linear from [9] posts")
        progress._Screen.display.refresh()
    shown = terminal.getvalue()
    assert "training" in shown
    assert "inner: learning linear from [9] posts" in shown
    log.warning("the cache is damaged")
    assert terminal.getvalue().endswith("hashloom: the cache is damaged\n")
    log.info("nobody watches a stage now")
    progress.watch(False)
    log.info("nor at all")
    assert terminal.getvalue().endswith("hashloom: the cache is damaged\n")
    assert logging.getLogger("hashloom").level == logging.NOTSET


def test_the_display_ends_with_the_work_also_when_it_fails(opened):
    terminal = opened()
    progress.watch(True)

    def stopped():
        with progress.stage("learning"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert progress._Screen.display is None
    assert terminal.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back
