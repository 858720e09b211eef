"""Observers never disturb the session."""

from tianqin_backtrader.monitoring.observers import Observer, Observers


class Counts(Observer):
    def __init__(self):
        self.rounds, self.texts = 0, []

    def round(self):
        self.rounds += 1

    def said(self, text):
        self.texts.append(text)


class Fails(Observer):
    def round(self):
        raise ZeroDivisionError("a bug of ours")


def test_an_observer_that_fails_is_told_and_taken_off(caplog):
    observers, counts = Observers(), Counts()
    for one in (Fails(), counts):
        observers.add(one)
    for _ in range(3):
        observers.round()
        observers.said("x")
    assert (counts.rounds, counts.texts) == (3, ["x"] * 3)
    [record] = caplog.records
    assert record.message == "Fails has failed and is switched off"
    assert record.exc_info[0] is ZeroDivisionError


def test_one_that_has_left_hears_nothing_and_may_leave_again():
    observers, counts = Observers(), Counts()
    observers.add(counts)
    observers.round()
    observers.remove(counts)
    observers.remove(counts)
    observers.round()
    assert counts.rounds == 1


def test_one_may_leave_while_it_is_told():
    class Leaves(Counts):
        def round(self):
            super().round()
            observers.remove(self)

    observers, leaves, counts = Observers(), Leaves(), Counts()
    observers.add(leaves)
    observers.add(counts)
    observers.round()
    observers.round()
    assert (leaves.rounds, counts.rounds) == (1, 2)
