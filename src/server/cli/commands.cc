#include "server/cli/commands.h"

namespace polylog::server {
namespace {

// ---- polylog serve

constexpr OptionRow kServeOptions[] = {
    {"--config", "FILE.toml", "settings, as `polylog settings` lists them"},
    {"--data-dir", "DIR", "directory of all stored data; default ./polylog-data"},
    {"--listen", "PROTOCOL=HOST:PORT",
     "a listener; any replaces the defaults kafka=127.0.0.1:9092, amqp=127.0.0.1:5672, admin=127.0.0.1:7400", true},
    {"--advertise", "PROTOCOL=HOST:PORT", "the address that clients are told to connect to", true},
    {"--set", "KEY=VALUE", "a setting, as `polylog settings` lists them", true},
    {"--cores", "N", "threads that serve; default: the CPUs it may run on"},
    {"--durability", "commit|interval", "commit (default): synced before it is acknowledged; interval"},
};

constexpr OptionRow kSettingsOptions[] = {
    {"--toml", "", "as a configuration file, each commented out at its default"},
    {"--set", "KEY=VALUE", "with --toml: a setting that the file sets", true},
};

// ---- polylog stream

constexpr OptionRow kStreamName[] = {{"NAME", "NAME", "the stream", false, true}};
constexpr OptionRow kCreateOptions[] = {
    {"--partitions", "N", "how many partitions; default: the setting kafka.num_partitions"},
    {"--set", "KEY=VALUE", "a setting of the stream, as `polylog stream describe` lists them", true},
};
constexpr OptionRow kAlterOptions[] = {
    {"--partitions", "N", "how many partitions in all; they can only grow"},
    {"--set", "KEY=VALUE", "a setting of the stream, as `polylog stream describe` lists them", true},
    {"--unset", "KEY", "a setting that goes back to its default", true},
};
constexpr OptionRow kProduceOptions[] = {
    {"--partition", "N", "where to; needed when there are several"},
    {"--key", "TEXT", "the key of every record"},
    {"--key-separator", "TEXT", "a line is KEY, this, VALUE"},
    {"--header", "NAME=VALUE", "a header of every record", true},
    {"--value", "TEXT", "one record with this value; nothing is read from standard input"},
    {"--format", "text|json", "text (default): a line is a value; json: a line is a record, as consume writes it"},
};
constexpr OptionRow kConsumeOptions[] = {
    {"--partition", "N", "only this partition; may be given several times; default: all", true},
    {"--from", "PLACE", "earliest (default), latest, an offset, -N for N before the end, or time:MS since 1970"},
    {"--max", "N", "stop after so many records"},
    {"--follow", "", "wait for more at the end, instead of stopping there"},
    {"--format", "value|keyed|json", "value (default): a line each; keyed: key, tab, value; json: a record a line"},
};
constexpr OptionRow kTailOptions[] = {
    {"--partition", "N", "only this partition; may be given several times; default: all", true},
    {"--lines", "N", "begin so many records before the end of each partition; default 10"},
    {"--format", "value|keyed|json", "value (default): a line each; keyed: key, tab, value; json: a record a line"},
};

// ---- polylog group, queue

constexpr OptionRow kGroupName[] = {{"NAME", "NAME", "the consumer group", false, true}};
constexpr OptionRow kResetOptions[] = {
    {"--stream", "NAME", "the stream whose offsets are moved", false, true},
    {"--to", "PLACE", "earliest, latest, an offset, -N for N before the end, or time:MS since 1970", false, true},
    {"--partition", "N", "only this partition; may be given several times; default: all", true},
};
constexpr OptionRow kQueueName[] = {{"NAME", "NAME", "the queue", false, true}};
constexpr OptionRow kPeekOptions[] = {
    {"--max", "N", "so many messages at most; default 10"},
    {"--format", "value|keyed|json", "value (default): a line each; keyed: key, tab, value; json: a message a line"},
};

// ---- the rest

constexpr OptionRow kConfigKey[] = {{"KEY", "KEY", "only this setting"}};
constexpr OptionRow kDataDir[] = {{"DATA_DIR", "DIR", "the data directory of a broker that is stopped", false, true}};
constexpr OptionRow kCheckOptions[] = {
    {"--repair", "", "do what is provably safe, then check again"},
    {"--to", "DIR", "with --repair: copy the directory there, and repair the copy"},
    {"--yes", "", "with --repair: do not ask before the directory is changed"},
    {"--json", "", "write JSON, for programs"},
};
constexpr OptionRow kDumpPath[] = {
    {"PATH", "FILE", "a WAL file, checkpoint, pack, segment or meta.plm, under its own name", false, true}};
constexpr OptionRow kDumpOptions[] = {
    {"--limit", "N", "stop after so many lines"},
    {"--json", "", "write a JSON object a line, for programs"},
};
constexpr OptionRow kBenchOptions[] = {
    {"--for", "kafka|amqp", "what the server speaks", false, true},
    {"--target", "HOST:PORT", "the server; default: 127.0.0.1 and the protocol's port, 9092 or 5672"},
    {"--profile", "1k|10k|100k|max", "messages a second in all; max: as fast as it goes; default 1k"},
    {"--seconds", "N", "how long it measures; default 10"},
    {"--warm-up", "N", "so many seconds before them do not count; default 0"},
    {"--size", "BYTES", "of each message, 24 to 1000000; default 100"},
    {"--partitions", "N", "of the topic, 1 to 1000; default 1"},
    {"--queues", "N", "how many queues, 1 to 1000; default 1"},
    {"--connections", "N", "producers, and as many consumers, but at most one a partition or queue; default 1"},
    {"--queue-type", "classic|quorum", "default classic"},
    {"--durable", "yes|no", "queues that outlive a restart, with persistent messages; default yes"},
    {"--user", "NAME", "for AMQP; default guest"},
    {"--password", "TEXT", "for AMQP; default guest"},
    {"--name", "NAME", "of the topic or queue, which must not exist; default: polylog-bench-, and a random number"},
    {"--keep", "", "leave the topic or queues there at the end"},
    {"--pid", "N", "the server's process; default: what listens on the port, if that is on this machine"},
    {"--report", "FILE.html", "write a page with plots as well; it needs no network"},
    {"--json", "", "write JSON, for programs"},
};
constexpr OptionRow kShell[] = {{"SHELL", "bash|zsh|fish", "the shell that reads it", false, true}};
constexpr OptionRow kManPage[] = {{"GROUP", "stream|group|queue", "the page of this group of commands"}};

constexpr OptionRow kCommon[] = {
    {"--admin", "HOST:PORT", "the broker's admin listener; default: $POLYLOG_ADMIN, else 127.0.0.1:7400"},
    {"--json", "", "write JSON, for programs"},
};

constexpr GroupRow kGroups[] = {
    {"stream", "streams (topics, stream queues) and their records"},
    {"group", "consumer groups and their offsets"},
    {"queue", "queues and their messages"},
};

constexpr CommandRow kCommands[] = {
    {"", "serve", "run the broker; SIGTERM stops it", {}, kServeOptions, nullptr},
    {"", "settings", "list every setting with its default", {}, kSettingsOptions, nullptr},
    {"", "status", "what the broker is and how it fares", {}, {}, run_status},
    {"", "config", "the settings in force, and where they came from", kConfigKey, {}, run_config},
    {"stream", "list", "list all streams", {}, {}, run_stream_list},
    {"stream", "create", "create a stream", kStreamName, kCreateOptions, run_stream_create},
    {"stream", "describe", "show a stream's settings and partitions", kStreamName, {}, run_stream_describe},
    {"stream", "alter", "change a stream's settings, or add partitions", kStreamName, kAlterOptions, run_stream_alter},
    {"stream", "delete", "delete a stream and all its records", kStreamName, {}, run_stream_delete},
    {"stream", "produce", "append the lines of standard input", kStreamName, kProduceOptions, run_stream_produce,
     "A record is acknowledged when it is durable. When the command fails, it says how many records were acknowledged "
     "before; the batch that failed may be there too."},
    {"stream", "consume", "write a stream's records to standard output", kStreamName, kConsumeOptions,
     run_stream_consume, "Without --follow it stops at the end that the stream had when it began."},
    {"stream", "tail", "write a stream's last records, then wait for more", kStreamName, kTailOptions, run_stream_tail},
    {"group", "list", "list all consumer groups", {}, {}, run_group_list},
    {"group", "describe", "show a group's members, offsets and lag", kGroupName, {}, run_group_describe},
    {"group", "reset", "move the offsets of a group that has no members", kGroupName, kResetOptions, run_group_reset},
    {"group", "delete", "delete a group that has no members", kGroupName, {}, run_group_delete},
    {"queue", "list", "list all queues with their counts", {}, {}, run_queue_list},
    {"queue", "describe", "show a queue", kQueueName, {}, run_queue_describe},
    {"queue", "peek", "write a queue's next messages without taking them", kQueueName, kPeekOptions, run_queue_peek},
    {"queue", "purge", "drop all messages of a queue that no consumer holds", kQueueName, {}, run_queue_purge},
    {"queue", "delete", "delete a queue and all its messages", kQueueName, {}, run_queue_delete},
    {"", "check", "look for damage in the data directory of a stopped broker", kDataDir, kCheckOptions, run_check,
     "check reads every file and changes nothing. It says what is damaged, where, and which offsets of which stream "
     "are "
     "lost, and what --repair would do. --repair changes only what other bytes, which verify, say again: indexes, "
     "checksums, heads, checkpoints whose log is whole, and what nothing names. It guesses no record, and what is lost "
     "stays lost. Exit status: 0 nothing is damaged (any more), 1 something is, 2 it could not be checked or repaired.",
     true},
    {"", "dump", "print what is in one file of a data directory", kDumpPath, kDumpOptions, run_dump,
     "dump prints a line for each thing: its offset, what it is, and what it says.", true},
    {"",
     "bench",
     "put load on a server, polylog or another, and measure it",
     {},
     kBenchOptions,
     run_bench,
     "bench creates a topic or queues, produces and consumes at once, and deletes them at the end. Latency counts from "
     "the "
     "time at which a message was due, so a server that stalls cannot hide it. When a connection breaks it connects "
     "again, "
     "sends again what was not acknowledged, and says how long the outage was. Exit status: 0 it was measured, 1 it "
     "was "
     "not, or acknowledged messages were lost, 2 an argument is wrong.",
     true},
    {"", "completion", "print a script that completes these commands in a shell", kShell, {}, nullptr},
    {"", "man", "print a manual page, for man -l -", kManPage, {}, nullptr},
};

}  // namespace

std::span<const CommandRow> commands() { return kCommands; }
std::span<const GroupRow> command_groups() { return kGroups; }
std::span<const OptionRow> common_options() { return kCommon; }

}  // namespace polylog::server
