// SequenceSet: which numbers of a rising sequence have been seen. All below the first missing word of 64 cost nothing,
// so memory is what is out of step, not what has passed.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace polylog::load {

class SequenceSet {
 public:
  // False: it was there already.
  bool add(uint64_t sequence) {
    if (has(sequence)) return false;
    const uint64_t word = sequence / kBits - full_words_;
    if (word >= words_.size()) words_.resize(word + 1);
    words_[word] |= bit_of(sequence);
    count_++;
    while (!words_.empty() && words_.front() == ~uint64_t{0}) {
      words_.pop_front();
      full_words_++;
    }
    return true;
  }

  bool has(uint64_t sequence) const { return (word_at(sequence / kBits) & bit_of(sequence)) != 0; }
  uint64_t count() const { return count_; }

  // How many of these the other one lacks.
  uint64_t missing_in(const SequenceSet& other) const {
    uint64_t missing = 0;
    for (uint64_t word = other.full_words_; word < full_words_ + words_.size(); word++) {
      missing += static_cast<uint64_t>(std::popcount(word_at(word) & ~other.word_at(word)));
    }
    return missing;
  }

 private:
  static constexpr uint64_t kBits = 64;

  static uint64_t bit_of(uint64_t sequence) { return uint64_t{1} << (sequence % kBits); }
  uint64_t word_at(uint64_t word) const {
    if (word < full_words_) return ~uint64_t{0};
    const uint64_t index = word - full_words_;
    return index < words_.size() ? words_[index] : 0;
  }

  uint64_t full_words_ = 0;  // words before words_, in which every bit is set
  std::deque<uint64_t> words_;
  uint64_t count_ = 0;
};

}  // namespace polylog::load
