# SPDX-License-Identifier: Apache-2.0
"""Copying between the master of a container's terminal and pyrun's standard input and output.

One loop serves both directions and the signals. What may block, because its descriptor is shared with others who
expect it to, is left to two small threads at the ends of pipes: waiting for a signal, and writing the output.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import os
import select

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2
# A pipe that is ready for writing takes this much at once (PIPE_BUF of pipe(7)); a terminal holds no more either.
CHUNK = 4096
# How soon it is noticed that a program opens a terminal again that nobody had open.
SECONDS_UNTIL_REOPENED = 0.05
# How long output that nobody takes is waited for after a signal that asks pyrun to end.
SECONDS_OF_PATIENCE = 1.0
ENDING = frozenset((_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM))


class Relay:
    """The copying, and where it stands.

    Attributes:
        hung_up: whether the master has been closed, because there is no terminal any more on the caller's side.
    """

    def __init__(self, master: int, caller: int) -> None:
        """Take over the master.

        Args:
            master: its descriptor, which is closed when the caller's terminal is gone.
            caller: the caller's terminal, which is watched for that.
        """
        os.set_blocking(master, False)
        self._master = master
        self._caller = caller
        self._has_input = True
        self._typed = b""  # not yet taken by the container
        self._shown = b""  # not yet taken by the output
        self._slave_closed = False
        self.hung_up = False

    def start(self) -> None:
        """Start the threads; all signals must be blocked, and are this object's from now on."""
        self._signals, numbers = os.pipe()
        _thread.start_new_thread(_pass_signals_to, (numbers,))
        source, self._output = os.pipe()
        self._output_end, end = os.pipe()
        os.set_blocking(self._output, False)
        _thread.start_new_thread(_write_from, (source, end))

    def step(self, *, reading: bool, seconds: float | None) -> bytes:
        """Wait until something can be copied, and copy it.

        Args:
            reading: whether to read standard input.
            seconds: how long to wait, or None for as long as it takes.

        Returns:
            The numbers of the signals that arrived, one a byte.
        """
        events = self._wait(reading, seconds)
        if not self.hung_up:
            self._copy(events)
        return os.read(self._signals, CHUNK) if self._signals in events else b""

    def drain(self) -> None:
        """Write out what a program that has ended left in the terminal; an ending signal cuts a long wait short."""
        seconds = None
        while self._shown or self._read_master():
            events = _poll({self._output: select.POLLOUT, self._signals: select.POLLIN}, seconds)
            if not events:
                return
            seconds = self._patience(events, seconds)
            if self._output in events:
                self._write_output()
        os.close(self._output)
        while events := _poll({self._output_end: 0, self._signals: select.POLLIN}, seconds):
            if self._output_end in events:
                return
            seconds = self._patience(events, seconds)

    def hang_up(self) -> None:
        """Close the master, by which the container's side learns that its terminal is gone."""
        if not self.hung_up:
            self.hung_up = True
            self._typed = self._shown = b""
            os.close(self._master)

    def _wait(self, reading: bool, seconds: float | None) -> dict[int, int]:
        interest = {self._signals: select.POLLIN}
        if not self.hung_up:
            interest[self._caller] = 0
            if self._shown:
                interest[self._output] = select.POLLOUT
            if self._typed:
                interest[self._master] = select.POLLOUT
            elif reading and self._has_input:
                interest[STANDARD_INPUT] = select.POLLIN
            if self._slave_closed:
                # The kernel would report that again and again, and nothing else of the master.
                seconds = min(seconds or SECONDS_UNTIL_REOPENED, SECONDS_UNTIL_REOPENED)
                interest.pop(self._master, None)
                self._slave_closed = False
            elif not self._shown:
                interest[self._master] = interest.get(self._master, 0) | select.POLLIN
        return _poll(interest, seconds)

    def _copy(self, events: dict[int, int]) -> None:
        if events.get(self._caller, 0) & (select.POLLHUP | select.POLLERR):
            self.hang_up()
            return
        if STANDARD_INPUT in events:
            self._read_input()
        master = events.get(self._master, 0)
        if master & select.POLLOUT:
            self._write_master()
        if master & select.POLLIN:
            self._read_master()
        elif master & select.POLLHUP:
            self._slave_closed = True
        if self._output in events:
            self._write_output()

    def _read_input(self) -> None:
        try:
            self._typed = os.read(STANDARD_INPUT, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._has_input = is_in_background(STANDARD_INPUT)  # since a moment ago, so the kernel refuses
            return
        # A terminal may say so once, for a key; all else has ended.
        self._has_input = bool(self._typed) or os.isatty(STANDARD_INPUT)

    def _write_master(self) -> None:
        try:
            self._typed = self._typed[os.write(self._master, self._typed) :]
        except BlockingIOError:
            pass
        except OSError:
            self._typed = b""  # no program has the terminal open

    def _read_master(self) -> bool:
        """Read once; returns whether there was something."""
        if self.hung_up:
            return False
        try:
            self._shown = os.read(self._master, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            self._slave_closed = True
            return False
        return bool(self._shown)

    def _write_output(self) -> None:
        try:
            self._shown = self._shown[os.write(self._output, self._shown) :]
        except BlockingIOError:
            pass
        except OSError:
            self.hang_up()  # the thread has ended: nobody can see the output any more

    def _patience(self, events: dict[int, int], seconds: float | None) -> float | None:
        if self._signals in events and not ENDING.isdisjoint(os.read(self._signals, CHUNK)):
            return SECONDS_OF_PATIENCE
        return seconds


def is_in_background(descriptor: int) -> bool:
    """Tell whether a terminal is at present another job's, as a shell with job control decides."""
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:
        return False  # it does not control this session: everyone may use it


def _poll(interest: dict[int, int], seconds: float | None) -> dict[int, int]:
    waiter = select.poll()
    for descriptor, events in interest.items():
        waiter.register(descriptor, events)
    return dict(waiter.poll(None if seconds is None else seconds * 1000))


def _pass_signals_to(numbers: int) -> None:
    every = _signal.valid_signals()
    while True:
        os.write(numbers, bytes((_signal.sigwait(every),)))


def _write_from(source: int, end: int) -> None:
    """Write to standard output what comes through ``source``; close both when it ends or can't be written."""
    try:
        while data := os.read(source, CHUNK):
            while data:
                data = data[_write_standard_output(data) :]
    except OSError:
        pass  # the loop finds the pipe closed
    finally:
        os.close(source)
        os.close(end)


def _write_standard_output(data: bytes) -> int:
    while True:
        try:
            return os.write(STANDARD_OUTPUT, data)
        except BlockingIOError:  # whoever shares it with us wants it so
            _poll({STANDARD_OUTPUT: select.POLLOUT}, None)
