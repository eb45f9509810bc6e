#include "tests/golden/replay.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace polylog::golden {
namespace {

constexpr size_t kProblemsMax = 20;
constexpr base::Duration kPatience = std::chrono::seconds(20);
constexpr base::Duration kTickMin = std::chrono::milliseconds(1);
constexpr base::Duration kTickMax = std::chrono::milliseconds(20);  // of a long wait: e.g. a fetch without records
constexpr base::Duration kPause = std::chrono::milliseconds(5);     // between the two halves of a split
constexpr base::Duration kSettle = std::chrono::milliseconds(50);

class Run {
 public:
  Run(const Script& script, const Cut& cut)
      : script_(script), cut_(cut), world_(script.transcript.wall_ms), ends_(script.transcript.connections) {}

  Outcome run() {
    for (size_t i = 0; i < script_.steps.size() && !gave_up_; ++i) {
      const Script::Step& step = script_.steps[i];
      switch (step.event->kind) {
        case Event::Kind::kToBroker:
          wait_for_answers();
          if (gave_up_) break;
          if (cut_.kind == Cut::Kind::kTruncate && cut_.event == i) {
            truncate(step);
            return std::move(outcome_);
          }
          say(step, cut_.event == i ? cut_ : Cut{});
          break;
        case Event::Kind::kFromBroker: expect(step); break;
        case Event::Kind::kClientEnds:
          wait_for_answers();
          end_of(step).link->hang_up();
          break;
        case Event::Kind::kBrokerEnds:
          wait_for_answers();
          if (!end_of(step).link->is_closed()) note(step.event->connection, "polylog left the connection open");
          end_of(step).link->hang_up();
          break;
      }
    }
    wait_for_answers();
    world_.run_for(kSettle);
    collect_all();
    refuse_more_than_recorded();
    return std::move(outcome_);
  }

 private:
  struct Lane {
    std::vector<const Answer*> recorded;
    std::vector<Tree> ours;
    size_t compared = 0;
  };
  struct End {
    std::unique_ptr<Link> link;
    std::unique_ptr<Listener> listener;
    Bytes heard;
    std::map<std::string, Lane> lanes;
  };

  End& end_of(const Script::Step& step) {
    End& end = ends_[step.event->connection];
    if (end.link == nullptr) {
      end.link = std::make_unique<Link>(script_.dialect.make_session(world_.broker()));
      end.listener = script_.dialect.make_listener();
    }
    return end;
  }

  void say(const Script::Step& step, const Cut& split) {
    End& end = end_of(step);
    Bytes bytes;
    for (const Bytes& unit : step.units) {
      const Bytes said = script_.dialect.substitute(unit, names_);
      end.listener->heard_client(said);
      bytes.insert(bytes.end(), said.begin(), said.end());
    }
    if (split.kind == Cut::Kind::kSplit) {
      const size_t first = std::min(split.byte, bytes.size());
      end.link->give(base::View(bytes).first(first));
      world_.run_for(kPause);
      collect_all();
      end.link->give(base::View(bytes).subspan(first));
    } else {
      end.link->give(bytes);
    }
    collect_all();
  }

  // The client vanishes in the middle: complete requests may be answered, nothing else is said, and polylog goes on.
  void truncate(const Script::Step& step) {
    End& end = end_of(step);
    Bytes bytes;
    size_t complete_bytes = 0;
    for (const Bytes& unit : step.units) {
      const Bytes said = script_.dialect.substitute(unit, names_);
      bytes.insert(bytes.end(), said.begin(), said.end());
      if (bytes.size() > cut_.byte) continue;
      end.listener->heard_client(said);
      complete_bytes = bytes.size();
    }
    std::map<std::string, size_t> due = answered_at_once(end);
    for (auto& [lane, answers] : due) answers += end.lanes[lane].ours.size();
    for (size_t i = cut_.event + 1; i < script_.steps.size(); ++i) {
      if (script_.steps[i].event->kind == Event::Kind::kFromBroker) expect(script_.steps[i]);
    }
    bytes.resize(std::min(cut_.byte, bytes.size()));
    const bool was_closed = end.link->is_closed();
    end.link->give(bytes);
    world_.run_for(kSettle);
    collect_all();
    const auto missing = [&] {
      return std::ranges::find_if(due, [&](const auto& d) { return end.lanes[d.first].ours.size() < d.second; });
    };
    wait_until([&] { return missing() == due.end(); });
    if (const auto lane = missing(); lane != due.end())
      note(step.event->connection, lane->first + ": polylog does not answer a whole request before the cut");
    if (complete_bytes == 0 && !was_closed && end.link->is_closed())
      note(step.event->connection, "polylog closed the connection");
    refuse_more_than_recorded();
    for (End& each : ends_) {
      if (each.link != nullptr) each.link->hang_up();
    }
    world_.run_for(kSettle);
    probe();
  }

  // Of the whole requests that wait for an answer, those that the recorded broker answered before anybody said more: what
  // comes later may be an answer to what was said later, e.g. to a fetch that waits.
  std::map<std::string, size_t> answered_at_once(const End& end) const {
    std::map<std::string, size_t> recorded;
    for (size_t i = cut_.event + 1; i < script_.steps.size(); ++i) {
      const Script::Step& step = script_.steps[i];
      if (step.event->kind == Event::Kind::kToBroker) break;
      if (step.event->kind != Event::Kind::kFromBroker || &ends_[step.event->connection] != &end) continue;
      for (const Answer& answer : step.answers) ++recorded[answer.lane];
    }
    std::map<std::string, size_t> answers;
    for (const auto& [lane, count] : end.listener->unanswered()) answers[lane] = std::min(count, recorded[lane]);
    return answers;
  }

  void probe() {
    Link link(script_.dialect.make_session(world_.broker()));
    Bytes heard;
    link.give(script_.dialect.probe());
    world_.run_for(kSettle);
    link.collect(heard);
    if (heard.empty()) note(0, "polylog does not answer a new connection");
  }

  void expect(const Script::Step& step) {
    End& end = end_of(step);
    for (const Answer& answer : step.answers) end.lanes[answer.lane].recorded.push_back(&answer);
    compare(step.event->connection);
  }

  void collect_all() {
    for (size_t i = 0; i < ends_.size(); ++i) {
      End& end = ends_[i];
      if (end.link == nullptr) continue;
      const size_t bytes_before = end.heard.size();
      end.link->collect(end.heard);
      if (end.heard.size() == bytes_before) continue;
      for (Answer& answer : end.listener->take_answers(end.heard))
        end.lanes[answer.lane].ours.push_back(std::move(answer.tree));
      compare(i);
    }
  }

  void compare(size_t connection) {
    End& end = ends_[connection];
    for (auto& [name, lane] : end.lanes) compare_lane(connection, lane);
    if (translate_lanes(end)) compare(connection);
  }

  void compare_lane(size_t connection, Lane& lane) {
    while (lane.compared < std::min(lane.recorded.size(), lane.ours.size())) {
      const Tree& ours = lane.ours[lane.compared];
      const Tree& recorded = lane.recorded[lane.compared]->tree;
      for (const std::string& line : differences(recorded, ours, names_, outcome_.rules_used)) note(connection, line);
      ++lane.compared;
      ++outcome_.answers;
    }
  }

  // Lanes are called as they were recorded. A lane with an id of polylog's in its name gets its name when the answer
  // that brought the id has been compared.
  bool translate_lanes(End& end) {
    for (auto& [name, lane] : end.lanes) {
      const std::string recorded_name = script_.dialect.recorded_lane(name, names_);
      if (!lane.recorded.empty() || recorded_name == name) continue;
      std::vector<Tree> ours = std::move(lane.ours);
      end.lanes.erase(name);
      std::ranges::move(ours, std::back_inserter(end.lanes[recorded_name].ours));
      return true;
    }
    return false;
  }

  bool has_all_answers(std::string* missing = nullptr) const {
    for (size_t i = 0; i < ends_.size(); ++i) {
      for (const auto& [name, lane] : ends_[i].lanes) {
        if (lane.ours.size() >= lane.recorded.size()) continue;
        if (missing != nullptr)
          *missing = fmt::format("connection {}, {}: no {}", i + 1, name, lane.recorded[lane.ours.size()]->tree.name);
        return false;
      }
    }
    return true;
  }

  template <typename Done>
  void wait_until(Done done) {
    const base::MonoTime until = world_.now() + kPatience;
    for (auto tick = kTickMin; !done() && world_.now() < until; tick = std::min(2 * tick, kTickMax)) {
      world_.run_for(tick);
      collect_all();
    }
  }

  void wait_for_answers() {
    wait_until([this] { return has_all_answers(); });
    std::string missing;
    if (has_all_answers(&missing)) return;
    outcome_.problems.push_back(missing);
    gave_up_ = true;
  }

  void refuse_more_than_recorded() {
    for (size_t i = 0; i < ends_.size(); ++i) {
      for (const auto& [name, lane] : ends_[i].lanes) {
        if (lane.ours.size() <= lane.recorded.size()) continue;
        // Requests may be open when a recording ends; what was not even asked for may not be answered.
        if (name != kAnswersLane || lane.ours.back().name == kUnasked)
          note(i, fmt::format("{}: {} that was not recorded", name, lane.ours[lane.recorded.size()].name));
      }
    }
  }

  void note(size_t connection, const std::string& problem) {
    if (outcome_.problems.size() < kProblemsMax)
      outcome_.problems.push_back(fmt::format("connection {}: {}", connection + 1, problem));
  }

  const Script& script_;
  const Cut cut_;
  World world_;
  std::vector<End> ends_;
  Names names_;
  Outcome outcome_;
  bool gave_up_ = false;
};

}  // namespace

Script::Script(const Transcript& t, const Dialect& d) : transcript(t), dialect(d) {
  std::vector<std::unique_ptr<Listener>> listeners(t.connections);
  std::vector<Bytes> heard(t.connections);
  for (const Event& event : t.events) {
    Step step{&event, {}, {}};
    auto& listener = listeners[event.connection];
    if (listener == nullptr) listener = dialect.make_listener();
    if (event.kind == Event::Kind::kToBroker) {
      base::View rest = event.bytes;
      while (!rest.empty()) {
        const size_t size = dialect.unit_bytes(rest);
        const base::View unit = size == 0 ? rest : rest.first(size);
        if (size != 0) listener->heard_client(unit);
        step.units.emplace_back(unit.begin(), unit.end());
        rest = rest.subspan(unit.size());
      }
    } else if (event.kind == Event::Kind::kFromBroker) {
      Bytes& bytes = heard[event.connection];
      bytes.insert(bytes.end(), event.bytes.begin(), event.bytes.end());
      step.answers = listener->take_answers(bytes);
    }
    steps.push_back(std::move(step));
  }
}

Outcome replay(const Script& script, const Cut& cut) { return Run(script, cut).run(); }

}  // namespace polylog::golden
