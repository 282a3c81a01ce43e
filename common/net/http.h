// Words that HTTP server and client share: methods, header lists, file regions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace drover::net {

enum class Method : std::uint8_t { get, head, post, put, patch, del, options, other };
std::string_view method_name(Method method);

// ASCII case-insensitive comparison, for header names.
bool same_header(std::string_view a, std::string_view b);

// A list of header lines, kept as the text that goes on the wire.
class HeaderLines {
 public:
  // Adds a line. A name or value that cannot stand in a header (control characters) is left out: nothing is injected.
  void add(std::string_view name, std::string_view value);
  // The first line of that name; empty if there is none.
  std::string_view get(std::string_view name) const;
  const std::string& text() const { return text_; }
  void clear() { text_.clear(); }

 private:
  std::string text_;
};

// An open file, shared by whoever sends from it. Closed with the last owner.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

  // Opens for reading; not_found or io. Never follows a link in the last component.
  static Result<std::shared_ptr<const File>> open(const std::string& path);
  Result<std::uint64_t> size() const;

 private:
  int fd_;
};

// `length` bytes of a file from `offset`. The file must not shrink meanwhile; if it does, the connection is cut.
struct FileBody {
  std::shared_ptr<const File> file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// %XX to bytes; malformed for a broken escape or a NUL.
Result<std::string> percent_decode(std::string_view text);
// Everything but unreserved characters (RFC 3986) becomes %XX.
std::string percent_encode(std::string_view text);
// "a=1&b=x%20y" to pairs; '+' is a space. malformed as percent_decode.
Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

}  // namespace drover::net
