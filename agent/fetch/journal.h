// What is known of a download that is not complete: kept beside it, so that it goes on after a restart or a reboot.
// Pure: text in, text out.
//
//   {"version":1,"boot":"...","etag":"...","deployment":"...","start":0,"resumed":0,"wasted":0}
//   1048576 <sha256 of the bytes up to there from the line before>
//   2097152 <...>
//
// The first line is replaced as a whole, the others are appended after the bytes they tell of were synced. A line that
// is not complete, or not greater than the one before, ends the list: so a torn write costs a piece, never a wrong
// byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/hash.h"

namespace drover::agent {

inline constexpr std::uint64_t kPiece = 1u << 20;      // a line each MiB: 90 bytes for 1 MiB
inline constexpr std::size_t kMaxJournal = 64u << 20;  // for about 700 GiB

struct Piece {
  std::uint64_t end = 0;
  crypto::Digest digest;
};

struct Journal {
  std::string boot;  // whose page cache the bytes went through: within it every byte of the file is trusted
  std::string etag;
  std::string deployment;     // that counts the bytes below
  std::uint64_t start = 0;    // bytes that were there when this deployment took the download over
  std::uint64_t resumed = 0;  // where the last try of this deployment went on
  std::uint64_t wasted = 0;   // fetched by this deployment and thrown away
  std::vector<Piece> pieces;
};

std::string print_head(const Journal& journal);
std::string print_piece(const Piece& piece);
std::string print(const Journal& journal);
Result<Journal> parse_journal(std::string_view text);

}  // namespace drover::agent
