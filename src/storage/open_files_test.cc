#include "storage/open_files.h"

#include <doctest/doctest.h>

#include "io/sim/passing_disk.h"
#include "io/sim/sim_disk.h"

namespace polylog::storage {
namespace {

using base::ErrorCode;

// Counts the files that are open, and has room for so many only.
class CountedDisk final : public io::PassingDisk {
 public:
  explicit CountedDisk(size_t files) : PassingDisk(sim_) {
    REQUIRE(sim_.make_directory("/d"));
    for (size_t i = 0; i < files; ++i) {
      auto file = sim_.open(path(i), io::OpenMode::kCreate);
      REQUIRE(file);
      const std::string text = path(i);
      const base::View bytes = base::as_view(text);
      REQUIRE((*file)->write_at({&bytes, 1}, 0));
    }
  }
  static std::string path(size_t i) { return "/d/file-" + std::to_string(i); }

  base::Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
    if (open_count >= open_max) return base::fail(ErrorCode::kOverloaded, "no descriptor is left");
    ++opened;
    TRY_ASSIGN(auto file, sim_.open(path, mode));
    return std::make_unique<Counted>(std::move(file), open_count);
  }

  size_t open_count = 0, opened = 0, open_max = SIZE_MAX;

 private:
  class Counted final : public io::PassingFile {
   public:
    Counted(std::unique_ptr<io::File> under, size_t& count) : PassingFile(std::move(under)), count_(count) { ++count_; }
    ~Counted() override { --count_; }

   private:
    size_t& count_;
  };
  io::SimDisk sim_{1};
};

struct Kit {
  Kit(size_t files, size_t open_max) : disk(files), open_files(std::make_shared<OpenFiles>(disk, open_max)) {
    for (size_t i = 0; i < files; ++i) handles.push_back(open_files->on_demand(CountedDisk::path(i)));
  }
  void check_read(size_t i) {
    std::string text(CountedDisk::path(i).size(), 0);
    REQUIRE(handles[i]->read_at({reinterpret_cast<uint8_t*>(text.data()), text.size()}, 0));
    CHECK(text == CountedDisk::path(i));
  }
  CountedDisk disk;
  std::shared_ptr<OpenFiles> open_files;
  std::vector<std::shared_ptr<io::File>> handles;
};

TEST_CASE("files_open_when_they_are_read_and_never_more_of_them_than_the_limit") {
  Kit kit(20, 4);
  CHECK(kit.disk.open_count == 0);
  for (size_t i = 0; i < 20; ++i) {
    kit.check_read(i);
    CHECK(kit.disk.open_count == std::min<size_t>(i + 1, 4));
  }
}

TEST_CASE("the_least_recently_used_file_is_closed_first") {
  Kit kit(5, 4);
  for (const size_t i : {0, 1, 2, 3, 0, 4}) kit.check_read(i);
  CHECK(kit.disk.opened == 5);
  kit.check_read(0);  // still open
  CHECK(kit.disk.opened == 5);
  kit.check_read(1);
  CHECK(kit.disk.opened == 6);
}

TEST_CASE("a_file_in_use_stays_open_past_the_limit_and_after_its_removal") {
  Kit kit(4, 1);
  auto first = kit.handles[0]->open_behind();
  REQUIRE(first);
  kit.check_read(1);
  CHECK(kit.disk.open_count == 2);
  CHECK(kit.open_files->counts().leaving == 1);
  auto second = kit.handles[2]->open_behind();
  REQUIRE(second);
  REQUIRE(kit.disk.remove(CountedDisk::path(2)));
  kit.open_files->forget(CountedDisk::path(2));
  CHECK(kit.disk.open_count == 2);
  CHECK((*second)->size());
  first->reset();
  second->reset();
  CHECK(kit.disk.open_count == 2);  // who used them closes nothing
  kit.open_files->tidy();
  CHECK(kit.disk.open_count == 0);
  CHECK(kit.handles[2]->size().error().code == ErrorCode::kNotFound);
}

TEST_CASE("when_no_descriptor_is_left_its_own_are_given_up_first") {
  Kit kit(5, 100);
  for (size_t i = 0; i < 3; ++i) kit.check_read(i);
  kit.disk.open_max = 3;
  kit.check_read(3);
  CHECK(kit.disk.open_count == 1);
  kit.disk.open_max = 0;
  kit.check_read(3);
  const auto held = kit.handles[3]->open_behind();
  CHECK(kit.handles[4]->size().error().code == ErrorCode::kOverloaded);
}

TEST_CASE("files_opened_elsewhere_count_and_are_closed_by_tidy") {
  Kit kit(3, 1);
  for (size_t i = 0; i < 3; ++i)
    kit.open_files->add(CountedDisk::path(i), *kit.disk.open(CountedDisk::path(i), io::OpenMode::kRead));
  CHECK(kit.disk.open_count == 3);
  kit.check_read(0);
  CHECK(kit.disk.opened == 3);
  kit.open_files->tidy();
  CHECK(kit.disk.open_count == 1);
}

}  // namespace
}  // namespace polylog::storage
