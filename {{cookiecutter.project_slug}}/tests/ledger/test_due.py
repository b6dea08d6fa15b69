"""When ticks are due, whoever asks: time zones, the hours that clocks skip and repeat."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import schedule as interval
from celery.schedules import solar
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab

from ledger.due import next_due

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2027, 3, 28, tzinfo=BERLIN)  # 02:00 becomes 03:00
AUTUMN = datetime(2027, 10, 31, tzinfo=BERLIN)  # 03:00 becomes 02:00


def dues(schedule: Any, after: datetime, count: int) -> list[datetime]:
    """Return the first due times after a moment."""

    def each() -> Any:
        due = next_due(schedule, after)
        while due:
            yield due
            due = next_due(schedule, due)

    return list(islice(each(), count))


def local(moments: list[datetime], zone: ZoneInfo = BERLIN) -> list[str]:
    return [moment.astimezone(zone).strftime("%d %H:%M%z") for moment in moments]


def crontab(minute: str, hour: str = "*", **fields: Any) -> TzAwareCrontab:
    return TzAwareCrontab(minute, hour, **{"tz": BERLIN, **fields})


def test_interval_is_a_grid_so_that_any_last_tick_gives_the_same_due_times() -> None:
    every = interval(timedelta(seconds=10))
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)

    found = {next_due(every, noon + timedelta(seconds=late)) for late in (0, 3.3, 9.9)}

    assert found == {noon + timedelta(seconds=10)}


def test_interval_with_a_start_time_counts_from_there() -> None:
    hourly, start = interval(3600), datetime(2027, 1, 1, 8, 15, tzinfo=UTC)

    first = next_due(hourly, start - timedelta(microseconds=1), origin=start)

    assert first == start
    assert next_due(hourly, start, origin=start) == start + timedelta(hours=1)


@pytest.mark.parametrize("seconds", [0, -5])
def test_interval_that_never_ends_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="interval"):
        next_due(interval(seconds), SPRING)


def test_due_time_itself_is_not_due_again() -> None:
    daily = crontab("10", "3")
    [due] = dues(daily, AUTUMN, 1)

    assert next_due(daily, due) == due + timedelta(days=1)
    assert next_due(daily, due - timedelta(microseconds=1)) == due


def test_crontab_is_due_in_its_own_time_zone() -> None:
    evening = datetime(2027, 1, 9, 20, tzinfo=UTC)

    tokyo = next_due(crontab("0", "9", tz=ZoneInfo("Asia/Tokyo")), evening)
    berlin = next_due(crontab("0", "9"), evening)

    assert tokyo == datetime(2027, 1, 10, 0, tzinfo=UTC)
    assert berlin == datetime(2027, 1, 10, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"minute": "*/7", "hour": "*/5"},
        {"minute": "59,0", "hour": "23,0"},
        {"minute": "30", "hour": "12", "day_of_week": "mon-fri"},
        {"minute": "5", "hour": "1", "day_of_month": "31"},
        {"minute": "5", "hour": "1", "day_of_month": "1-7", "day_of_week": "sun"},
    ],
)
def test_crontab_is_due_at_every_minute_that_matches(fields: dict[str, str]) -> None:
    zone = ZoneInfo("Asia/Kolkata")  # never changes its clocks
    schedule: Any = crontab(**fields, tz=zone)
    start = datetime(2027, 1, 1, tzinfo=zone)
    minutes = (start + timedelta(minutes=n) for n in range(60 * 24 * 60))

    matching = [
        minute
        for minute in minutes
        if minute.minute in schedule.minute
        and minute.hour in schedule.hour
        and minute.day in schedule.day_of_month
        and minute.isoweekday() % 7 in schedule.day_of_week
    ]

    just_before = start - timedelta(microseconds=1)
    assert dues(schedule, just_before, len(matching)) == matching


def test_reading_that_the_clock_skips_is_due_once_an_hour_later() -> None:
    assert local(dues(crontab("30", "2"), SPRING, 2)) == [
        "28 03:30+0200",
        "29 02:30+0200",
    ]


def test_reading_that_the_clock_repeats_is_due_once() -> None:
    assert local(dues(crontab("30", "2"), AUTUMN, 2)) == [
        "31 02:30+0200",
        "01 02:30+0100",
    ]


def test_hourly_job_is_due_every_hour_when_the_clock_goes_back() -> None:
    found = dues(crontab("30"), AUTUMN + timedelta(hours=1), 4)

    assert local(found) == [
        "31 01:30+0200",
        "31 02:30+0200",
        "31 02:30+0100",
        "31 03:30+0100",
    ]


def test_hourly_job_is_due_every_hour_when_the_clock_goes_forward() -> None:
    found = dues(crontab("30"), SPRING + timedelta(hours=1), 3)

    assert local(found) == ["28 01:30+0100", "28 03:30+0200", "28 04:30+0200"]


@pytest.mark.parametrize("day", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Europe/Berlin", (23, 25)),
        ("UTC", (24, 24)),
    ],
)
def test_every_minute_is_every_minute_on_days_when_the_clock_changes(
    day: datetime, zone: str, hours: tuple[int, int]
) -> None:
    tz = ZoneInfo(zone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=tz).astimezone(UTC)
    length = hours[day is AUTUMN] * 60

    found = dues(crontab("*", tz=tz), midnight, length)

    assert found == [midnight + timedelta(minutes=n + 1) for n in range(length)]


def test_clock_that_changes_by_half_an_hour_repeats_only_readings_that_match() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # 02:00 becomes 01:30
    start = datetime(2027, 4, 4, 0, 50, tzinfo=lord_howe)

    found = dues(crontab("*/15", tz=lord_howe), start.astimezone(UTC), 9)

    assert local(found, lord_howe) == [
        "04 01:00+1100",
        "04 01:15+1100",
        "04 01:30+1100",
        "04 01:45+1100",
        "04 01:30+1030",
        "04 01:45+1030",
        "04 02:00+1030",
        "04 02:15+1030",
        "04 02:30+1030",
    ]


def test_reading_that_is_skipped_at_the_end_of_a_day_is_due_on_the_next() -> None:
    nuuk = ZoneInfo("America/Nuuk")  # on 27 March, 23:00 becomes 00:00 of the 28th
    evening = datetime(2027, 3, 27, 22, tzinfo=nuuk)
    midnight = datetime(2027, 3, 28, tzinfo=nuuk)
    late = crontab("15,45", "23", tz=nuuk)

    assert local(dues(late, evening, 3), nuuk) == local(
        [midnight + timedelta(minutes=15), midnight + timedelta(minutes=45)]
        + [midnight.replace(hour=23, minute=15)],
        nuuk,
    )


def test_rare_dates_are_found() -> None:
    monday_29_february = crontab(
        "0", "0", tz=UTC, day_of_month="29", month_of_year="2", day_of_week="mon"
    )

    assert next_due(monday_29_february, SPRING) == datetime(2044, 2, 29, tzinfo=UTC)


def test_date_that_never_comes_is_never_due() -> None:
    schedule = crontab("0", "0", tz=UTC)
    schedule.day_of_week = set()

    assert next_due(schedule, SPRING) is None


def test_clocked_schedule_is_due_once_even_if_it_was_made_too_late() -> None:
    moment = datetime(2027, 5, 1, tzinfo=UTC)

    assert next_due(clocked(moment), moment - timedelta(days=1)) == moment
    assert next_due(clocked(moment), moment + timedelta(days=1)) == moment
    assert next_due(clocked(moment), moment) is None


def test_solar_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="solar schedules are not supported"):
        next_due(solar.__new__(solar), SPRING)
