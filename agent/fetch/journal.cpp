#include "agent/fetch/journal.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::agent {
namespace {

constexpr std::size_t kMaxHead = 8192;
constexpr std::size_t kMaxText = 1024;

// "1048576 ab.." -> piece; false when it is not one that may follow `before`.
bool parse_piece(std::string_view line, std::uint64_t before, Piece& piece) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return false;
  const auto [end, fault] = std::from_chars(line.data(), line.data() + blank, piece.end);
  if (fault != std::errc() || end != line.data() + blank || piece.end <= before) return false;
  const auto digest = crypto::Digest::parse_hex(line.substr(blank + 1));
  if (!digest) return false;
  piece.digest = *digest;
  return true;
}

}  // namespace

std::string print_head(const Journal& journal) {
  const nlohmann::json head = {{"version", 1},
                               {"boot", journal.boot},
                               {"etag", journal.etag},
                               {"deployment", journal.deployment},
                               {"start", journal.start},
                               {"resumed", journal.resumed},
                               {"wasted", journal.wasted}};
  return head.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string print_piece(const Piece& piece) { return std::to_string(piece.end) + " " + piece.digest.hex() + "\n"; }

std::string print(const Journal& journal) {
  std::string text = print_head(journal);
  for (const Piece& piece : journal.pieces) text += print_piece(piece);
  return text;
}

Result<Journal> parse_journal(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return Error(Code::malformed, "the journal has no complete first line");
  TRY_ASSIGN(const json::Value document, json::parse(text.substr(0, end), kMaxHead));
  json::Reader in(document);
  in.allow_unknown();
  Journal journal;
  if (in.integer("version", 0, INT32_MAX) != 1) in.fail("version", "must be 1");
  journal.boot = in.text("boot", kMaxText);
  journal.etag = in.text_or("etag", "", kMaxText);
  journal.deployment = in.text_or("deployment", "", kMaxText);
  journal.start = static_cast<std::uint64_t>(in.integer_or("start", 0, 0, INT64_MAX));
  journal.resumed = static_cast<std::uint64_t>(in.integer_or("resumed", 0, 0, INT64_MAX));
  journal.wasted = static_cast<std::uint64_t>(in.integer_or("wasted", 0, 0, INT64_MAX));
  TRY(in.finish());
  std::uint64_t before = 0;
  for (text.remove_prefix(end + 1);;) {
    const std::size_t line_end = text.find('\n');
    Piece piece;
    if (line_end == std::string_view::npos || !parse_piece(text.substr(0, line_end), before, piece)) return journal;
    before = piece.end;
    journal.pieces.push_back(piece);
    text.remove_prefix(line_end + 1);
  }
}

}  // namespace drover::agent
