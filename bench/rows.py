"""What is compared and what must come out: one Row a workload, one Goal a figure of it."""

from dataclasses import dataclass, field

HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True)
class Goal:
    """A ratio polylog / peer. `bound` is the must that counts instead when the client's processor is the limit:
    {metric: ratio}, all of which must hold."""

    metric: str
    sense: str
    must: float
    aim: float | None = None
    bound: dict = field(default_factory=dict)

    def reaches(self, ratio, limit):
        return ratio >= limit if self.sense == HIGHER else ratio <= limit


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    client: dict
    goals: tuple
    peer: dict = field(default_factory=dict)
    rate_unit: str = "msg/s"


RATE, CPU, P50, P99 = "rate", "server_cpu_ns", "p50_us", "p99_us"
FLUSH = {"settings": ("log.flush.interval.messages=1",)}
BULK = {"partitions": 1, "batch": 1_000_000, "linger": 5}
WIDE = {"partitions": 64, "batch": 16_384, "linger": 5}

BULK_GOALS = (Goal(RATE, HIGHER, 1.0), Goal(CPU, LOWER, 0.5, 0.2))
WIDE_GOALS = (Goal(RATE, HIGHER, 4, 10, bound={RATE: 2, CPU: 0.25}),)
FLUSH_GOALS = (Goal(RATE, HIGHER, 10, 40, bound={RATE: 5, CPU: 0.1}),)
QUEUE_GOALS = (Goal(RATE, HIGHER, 6, 20),)
QUEUE_LATENCY_GOALS = (Goal(P50, LOWER, 0.6, 0.25), Goal(P99, LOWER, 0.6, 0.25))

KAFKA_ROWS = (
    Row("bulk-100", "1 partition, 1 MB batches, 100 B", {**BULK, "size": 100}, BULK_GOALS),
    Row("bulk-1k", "1 partition, 1 MB batches, 1 KiB", {**BULK, "size": 1024}, BULK_GOALS),
    Row("wide-100", "64 partitions, 16 KB batches, 100 B", {**WIDE, "size": 100}, WIDE_GOALS),
    Row("wide-1k", "64 partitions, 16 KB batches, 1 KiB", {**WIDE, "size": 1024}, WIDE_GOALS),
    Row("flush-100", "Kafka flushing each batch: 64 partitions, 16 KB batches, 100 B", {**WIDE, "size": 100},
        FLUSH_GOALS, FLUSH),
    Row("flush-1k", "Kafka flushing each batch: 64 partitions, 16 KB batches, 1 KiB", {**WIDE, "size": 1024},
        FLUSH_GOALS, FLUSH),
    Row("paced-50k", "50,000/s of 1 KiB, linger 1 ms", {"size": 1024, "rate": 50_000, "linger": 1},
        (Goal(P99, LOWER, 0.5, 0.1),)),
    Row("paced-5k", "5,000/s of 1 KiB, linger 0", {"size": 1024, "rate": 5_000, "linger": 0},
        (Goal(P50, LOWER, 1.0, 0.6), Goal(P99, LOWER, 0.5, 0.1), Goal(CPU, LOWER, 0.25, 0.1))),
)

AMQP_ROWS = tuple(
    row
    for kind in ("classic", "quorum")
    for row in (
        Row(f"{kind}-100", f"{kind} queue, durable, confirms, 100 B", {"type": kind, "size": 100}, QUEUE_GOALS),
        Row(f"{kind}-1k", f"{kind} queue, durable, confirms, 1 KiB", {"type": kind, "size": 1024}, QUEUE_GOALS),
        Row(f"{kind}-5k", f"{kind} queue, 5,000/s of 1 KiB", {"type": kind, "size": 1024, "rate": 5_000},
            QUEUE_LATENCY_GOALS),
    )
)
