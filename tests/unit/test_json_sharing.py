"""What forzium.json does to its surroundings: memory, the garbage collector, other threads, objects that change."""

from __future__ import annotations

import gc
import json
import math
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from forzium import json as fast

from .json_oracle import outcome


class Point(NamedTuple):
    x: int
    y: float


def test_the_result_is_new_and_its_containers_are_independent() -> None:
    text = b'[{"a":1,"b":[]},{"a":1,"b":[]},{"a":1,"b":[]},{"a":1,"b":[]}]'
    rows = fast.loads(text)
    rows[3]["b"].append(rows)
    rows[3]["c"] = 1
    del rows[2]["a"]
    assert rows[:2] == [{"a": 1, "b": []}] * 2
    assert fast.loads(text) == json.loads(text)


def test_objects_of_one_shape_are_watched_by_the_garbage_collector_if_they_hold_containers() -> None:
    class Mark:
        pass

    for _ in range(5):
        rows = fast.loads(b'[{"a":1,"b":[]},{"a":1,"b":[]}]')
    mark = Mark()
    gone = weakref.ref(mark)
    rows[1]["b"].append(rows[1])
    rows[1]["b"].append(mark)
    assert gc.is_tracked(rows[1])
    del rows, mark
    gc.collect()
    assert gone() is None


def test_an_object_survives_that_its_keys_and_shape_are_forgotten_while_it_is_read() -> None:
    def text(start: int) -> str:
        others = {f"other {at}": [{f"more {at}": at, "x": at}] * 20 for at in range(start, start + 1500)}
        return json.dumps([{"a": at, "b": others if at == 1 else {}, "c": at} for at in range(3)])

    for start in (0, 0, 1500, 3000):
        assert fast.loads(text(start)) == json.loads(text(start))


def test_reading_leaves_the_garbage_collector_as_it_was() -> None:
    text = json.dumps([[index] for index in range(5000)]).encode()
    for switch in (gc.disable, gc.enable):
        switch()
        for broken in (text, text[:-1]):
            outcome(fast.loads, broken)
            assert gc.isenabled() is (switch is gc.enable)


def test_references_and_memory_stay_flat() -> None:
    text = (
        b'{"id":1234567,"name":"a name","tags":["one","two","\\u00e9"],"rows":[{"a":1.5,"b":null},{"a":2.5,"b":true}]}'
    )
    broken = [text[:-1], text.replace(b"1.5", b"1.5.5"), b'{"a":[1,2,{"b":"c"', b'[{"a":1,"b":"\xff"}]', b"[[1,2],[3,4"]
    objects = [
        json.loads(text),
        {"k": [math.nan]},
        {"k": ["\ud800"]},
        [object(), 1],
        {"a": 1, (1,): 2},
        [Point(1, 2.0)],
    ]

    def work(times: int) -> None:
        for _ in range(times):
            for data in (text, *broken):
                outcome(fast.loads, data)
            for obj in objects:
                try:
                    fast.dumps(obj)
                except (TypeError, ValueError):
                    pass

    watched = [None, True, "name", *objects, *(objects[0].values())]
    work(50)
    gc.collect()
    before = [sys.getrefcount(obj) for obj in watched]
    tracemalloc.start()
    try:
        work(20)
        gc.collect()
        start, _ = tracemalloc.get_traced_memory()
        work(300)
        gc.collect()
        end, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    grown = [sys.getrefcount(obj) - count for obj, count in zip(watched, before, strict=True)]
    assert all(abs(by) < 40 for by in grown), grown
    assert end - start < 20_000


def test_other_threads_run_while_large_texts_are_read_and_written() -> None:
    rows = [
        {"id": index, "name": f"name {index}", "price": index * 1.25, "tags": ["a", "b"]} for index in range(60_000)
    ]
    text = fast.dumps(rows)
    done = threading.Event()
    turns = 0

    def count() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0)

    def lets_others_run(work: Callable[[], object]) -> bool:
        # Whether the other thread is given a processor meanwhile is the system's to say; not every time is asked for.
        for _ in range(100):
            before = turns
            work()
            if turns > before:
                return True
        return False

    thread = threading.Thread(target=count)
    thread.start()
    try:
        assert lets_others_run(lambda: fast.loads(text))
        assert lets_others_run(lambda: fast.dumps(rows))
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("count", [9_999, 10_000, 10_001, 21_846, 43_691, 87_382, 180_000])
@pytest.mark.parametrize("repeated", [1, 2, 3, 1_000_000])
def test_an_object_of_many_keys_is_the_dict_that_the_standard_library_makes(count: int, repeated: int) -> None:
    values = ["1", '"é"', "[0.5]", '{"a":[]}', "null"]
    keys = [f"ключ {at}" if at % 7 == 0 else f"key {at}" for at in range(-(-count // repeated))]
    text = "{" + ",".join(f'"{keys[at * 31 % len(keys)]}":{values[at % 5]}' for at in range(count)) + "}"
    read, expected = fast.loads(text), json.loads(text)
    assert list(read.items()) == list(expected.items())
    assert sys.getsizeof(read) <= 4 * sys.getsizeof(expected)
    assert gc.is_tracked(read) or not any(gc.is_tracked(value) for value in expected.values())
    for obj in (read, expected):
        obj["more"] = obj.pop(keys[0])
        obj |= {str(at): at for at in range(1000)}
    assert list(read.items()) == list(expected.items())


def test_others_may_meet_an_object_of_many_keys_while_it_is_read() -> None:
    text = "{" + ",".join(f'"key {at}":[{at}]' for at in range(60_000)) + "}"
    expected = json.loads(text)
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for obj in gc.get_objects():
                if type(obj) is dict and "key 1" in obj:
                    sum(map(len, obj.copy().values()))
            gc.collect()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(5):
            assert fast.loads(text) == expected
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_a_container_changed_by_another_thread_is_an_error_or_a_text_never_a_crash(kind: str) -> None:
    def fresh() -> Any:
        rows = [[index, {"k": [index]}] for index in range(20_000)]
        return rows if kind == "list" else {str(index): row for index, row in enumerate(rows)}

    obj = fresh()
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            obj.clear()
            obj.extend(fresh()) if kind == "list" else obj.update(fresh())

    thread = threading.Thread(target=change)
    thread.start()
    errors = []
    try:
        for _ in range(15):
            try:
                fast.loads(fast.dumps(obj))
            except RuntimeError as error:
                errors.append(str(error))
    finally:
        done.set()
        thread.join()
    assert all("changed size during iteration (at $" in error for error in errors)


def test_the_hook_may_change_what_is_being_written() -> None:
    rows: list[Any] = [object(), [1], [2]]

    def hook(value: Any) -> Any:
        rows.clear()
        gc.collect()
        return "gone"

    with pytest.raises(RuntimeError, match="list changed size"):
        fast.dumps([rows], default=hook)
    mapping: dict[str, Any] = {"a": object(), "b": [1]}

    def hook_mapping(value: Any) -> Any:
        mapping.clear()
        return "gone"

    with pytest.raises(RuntimeError, match="dictionary changed size"):
        fast.dumps([mapping], default=hook_mapping)
