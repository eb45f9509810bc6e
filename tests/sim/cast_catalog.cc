// The client that declares, alters and deletes.
#include <fmt/format.h>

#include <array>
#include <optional>

#include "tests/sim/cast.h"

namespace polylog::sim {
namespace {

using namespace broker;

using Record = std::shared_ptr<const StreamRecord>;

class Declarer final : public CatalogClient {
 public:
  using CatalogClient::CatalogClient;
  bool busy() const override { return token_ != 0; }
  std::string describe() const override { return "declarer waits for an answer"; }

  // What was asked for and not answered happened or did not; everything else is as it was answered.
  void check_after_start() override {
    for (size_t i = 0; i < names_.size(); ++i) {
      Name& name = names_[i];
      const Record found = scene_.world.node()->broker(0).catalog().find(name_of(i));
      const Record other = scene_.world.node()->broker(1).catalog().find(name_of(i));
      if (!same(found, other)) return wrong(i, "differs between cores");
      if (name.record && !name.record->durable) name.record = nullptr;
      if (!name.unknown && !same(found, name.record)) return wrong(i, "is not what was answered");
      if (name.unknown && !name.may_be(found)) return wrong(i, "is neither what was nor what was asked for");
      name.unknown = false;
      name.record = found;
    }
    refresh_targets();
  }

 private:
  enum class What { kCreate, kDelete, kAlter, kAddPartitions };
  struct Name {
    Record record;         // as last answered
    bool unknown = false;  // a request's outcome is
    What asked = What::kCreate;
    std::string asked_value;
    uint32_t asked_partitions = 0;

    bool may_be(const Record& found) const {
      if (same(found, record)) return true;
      switch (asked) {
        case What::kCreate: return record == nullptr && found != nullptr && found->durable;
        case What::kDelete: return found == nullptr;
        case What::kAlter:
          return found && record && found->id == record->id && found->attributes.at("sim.value") == asked_value;
        case What::kAddPartitions:
          return found && record && found->id == record->id && found->partitions.size() == asked_partitions;
      }
      return false;
    }
  };
  static bool same(const Record& a, const Record& b) {
    if (!a || !b) return !a && !b;
    return a->id == b->id && a->version == b->version && a->attributes == b->attributes &&
           a->partitions == b->partitions;
  }
  static std::string name_of(size_t index) { return fmt::format("passing-{}", index); }
  void wrong(size_t index, std::string_view what) {
    model().violation("catalog", fmt::format("{} {}", name_of(index), what));
  }

  void tick() override {
    if (token_ != 0 || scene_.calm || random().chance(0.8)) return;
    at_ = random().below(names_.size());
    Name& name = names_[at_];
    if (name.unknown) return;
    if (!name.record) return create(name);
    if (random().chance(0.4)) return remove(name);
    if (random().chance(0.5)) return alter(name);
    grow(name);
  }
  void create(Name& name) {
    name.asked = What::kCreate;
    StreamRecord wanted;
    wanted.name = name_of(at_);
    wanted.kind = random().chance(0.3) ? StreamKind::kQueue : StreamKind::kStream;
    wanted.durable = random().chance(0.8);
    wanted.attributes["sim.value"] = "new";
    const uint32_t partitions = wanted.kind == StreamKind::kQueue ? 1 : static_cast<uint32_t>(random().between(1, 4));
    token_ = change_catalog(CreateStream{std::move(wanted), partitions});
  }
  void remove(Name& name) {
    name.asked = What::kDelete;
    model().forget(name.record->id);
    std::erase_if(scene_.passing, [&](const Target& t) { return t.partition.stream == name.record->id; });
    token_ = change_catalog(DeleteStream{name.record->id});
  }
  void alter(Name& name) {
    name.asked = What::kAlter;
    name.asked_value = std::to_string(++value_);
    token_ = change_catalog(AlterStream{name.record->id, name.record->version, {{"sim.value", name.asked_value}}});
  }
  void grow(Name& name) {
    if (name.record->kind != StreamKind::kStream || name.record->partitions.size() > 6) return;
    name.asked = What::kAddPartitions;
    name.asked_partitions = static_cast<uint32_t>(name.record->partitions.size()) + 1;
    token_ = change_catalog(AddPartitions{name.record->id, name.asked_partitions});
  }
  void handle(uint64_t token, ActionBody& body) override {
    auto* done = std::get_if<CatalogDone>(&body);
    if (done == nullptr || token != token_) return;
    token_ = 0;
    Name& name = names_[at_];
    if (!done->result) {
      // A full disk is a refusal; after anything else only the next start tells.
      if (done->result.error().code == base::ErrorCode::kDiskFull) return;
      name.unknown = true;
      if (done->result.error().code != base::ErrorCode::kIo) wrong(at_, "was refused: " + done->result.error().text);
      return;
    }
    name.record = name.asked == What::kDelete ? nullptr : done->record;
    for (size_t core = 0; core < kCores; ++core)
      if (!same(scene_.world.node()->broker(core).catalog().find(name_of(at_)), name.record))
        wrong(at_, fmt::format("was answered before core {} had it", core));
    refresh_targets();
  }
  void refresh_targets() {
    scene_.passing.clear();
    for (const Name& name : names_) {
      if (!name.record || name.unknown || !name.record->durable) continue;
      for (uint32_t i = 0; i < name.record->partitions.size(); ++i)
        scene_.passing.push_back({name.record->key(i), name.record->partitions[i]});
    }
  }
  void on_down() override {
    if (token_ == 0) return;
    token_ = 0;
    names_[at_].unknown = true;
  }

  std::array<Name, 4> names_;
  size_t at_ = 0;
  uint64_t token_ = 0;
  int value_ = 0;
};

}  // namespace

std::unique_ptr<CatalogClient> make_declarer(Scene& scene, size_t core, uint64_t id) {
  return std::make_unique<Declarer>(scene, core, id);
}

}  // namespace polylog::sim
