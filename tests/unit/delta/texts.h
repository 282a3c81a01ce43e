// Files that are no models, made from a seed, and a delta with one long frame. For tests.
#pragma once

#include <string>
#include <vector>

#include "common/delta/delta.h"
#include "common/delta/stretch.h"
#include "common/rng/rng.h"

namespace drover::delta::testing {

inline Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// Words of a language that nobody speaks: common ones come often.
class Words {
 public:
  explicit Words(std::uint64_t seed) : rng_(seed) {
    for (int i = 0; i < 3000; ++i) {
      std::string word;
      for (std::uint64_t letters = 2 + rng_.below(9); letters > 0; --letters)
        word += "etaoinshrdlucmfwygpbvk"[rng_.below(1 + rng_.below(22))];
      words_.push_back(word);
    }
  }
  const std::string& next() { return words_[rng_.below(1 + rng_.below(1 + rng_.below(words_.size())))]; }
  std::uint64_t below(std::uint64_t n) { return rng_.below(n); }

 private:
  SeededRng rng_;
  std::vector<std::string> words_;
};

// Records with few names and many values, as a tokenizer's or a dump of settings.
inline Bytes json_text(std::size_t size, std::uint64_t seed) {
  Words words(seed);
  std::string text = "[\n";
  while (text.size() < size)
    text += "  {\"id\": " + std::to_string(words.below(1'000'000)) + ", \"token\": \"" + words.next() +
            "\", \"score\": -" + std::to_string(words.below(20)) + "." + std::to_string(words.below(100'000)) +
            ", \"kind\": \"" + words.next() + "\", \"special\": false},\n";
  return bytes_of(text.substr(0, size));
}

// Many files of text behind heads of 512 bytes, with beginnings that most of them share, and some that come twice.
inline Bytes source_archive(std::size_t size, std::uint64_t seed) {
  Words words(seed);
  std::string text, licence;
  for (int i = 0; i < 200; ++i) licence += words.next() + (i % 12 == 11 ? "\n// " : " ");
  std::vector<std::string> files;
  while (text.size() < size) {
    std::string file = "// " + licence + "\n#include <" + words.next() + ".h>\n";
    for (std::uint64_t lines = 20 + words.below(300); lines > 0; --lines)
      file += std::string(2 * words.below(4), ' ') + words.next() + " " + words.next() + " = " + words.next() + "(" +
              words.next() + ", " + std::to_string(words.below(100)) + ");\n";
    if (!files.empty() && words.below(8) == 0) file = files[words.below(files.size())];
    files.push_back(file);
    std::string head = "src/" + words.next() + "/" + words.next() + ".cpp";
    head.resize(512);
    file.resize((file.size() + 511) / 512 * 512);
    text += head + file;
  }
  return bytes_of(text.substr(0, size));
}

// Lines that are nearly the same.
inline Bytes log_text(std::size_t size, std::uint64_t seed) {
  Words words(seed);
  std::string text;
  for (std::uint64_t at = 1'700'000'000'000; text.size() < size; at += words.below(900))
    text += std::to_string(at) + " info kiosk-" + std::to_string(words.below(40)) + " check-in answered with status " +
            (words.below(50) == 0 ? "503" : "200") + " in " + std::to_string(words.below(40)) + " ms\n";
  return bytes_of(text.substr(0, size));
}

// A delta without a base that is one stretch.
inline Bytes stretch_delta(ByteView target) {
  MemorySink alive;
  const Bytes frame = *encode_stretch(target, UINT64_MAX, alive);
  Bytes out;
  put_fixed(out, kMagic, 4);
  put_fixed(out, kVersion, 4);
  put_fixed(out, 0, 8);
  put_fixed(out, target.size(), 8);
  for (const ByteView file : {ByteView(), target}) {
    const crypto::Digest digest = crypto::sha256(file);
    out.insert(out.end(), digest.raw().begin(), digest.raw().end());
  }
  out.push_back(static_cast<std::uint8_t>(SegmentKind::stretch));
  put_varint(out, target.size());
  put_varint(out, frame.size());
  out.insert(out.end(), frame.begin(), frame.end());
  out.push_back(static_cast<std::uint8_t>(SegmentKind::end));
  return out;
}

}  // namespace drover::delta::testing
