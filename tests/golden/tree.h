// Tree: a decoded message as names and texts, so that two of them are compared by the tables of rules.h. Also the ids
// that a broker hands out: what the recorded broker called X and polylog calls Y are the same thing (Names).
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace polylog::golden {

struct Tree {
  std::string name;   // "[]" for the elements of an array
  std::string value;  // of a leaf
  std::vector<Tree> children;
  Tree& add(std::string child_name, std::string child_value = {}) {
    children.push_back({std::move(child_name), std::move(child_value), {}});
    return children.back();
  }
  const Tree* find(std::string_view child) const;
};

std::string hex_of(base::View bytes);
std::string text_of(base::View bytes);  // printable bytes as they are, others as \xx

// By kind of id: the recorded broker's -> polylog's, and back.
class Names {
 public:
  // Whether the two may be the same id: learns the pair when neither is known.
  bool correlate(const std::string& kind, const std::string& recorded, const std::string& ours);
  const std::string* ours_for(const std::string& kind, const std::string& recorded) const;
  const std::string* recorded_for(const std::string& kind, const std::string& ours) const;

 private:
  std::map<std::pair<std::string, std::string>, std::string> ours_, recorded_;
};

// What differs, one line each: "path: recorded X, polylog Y". Empty: equal but for what rules.h masks. The rules that
// were applied are added to `used`, as rule_names() calls them.
std::vector<std::string> differences(const Tree& recorded, const Tree& ours, Names& names, std::set<std::string>& used);

}  // namespace polylog::golden
