// delta make, apply, inspect: the codec for people. Fleets need none of it: the server and the agents do it by
// themselves.
#include "common/delta/delta.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/fs/mapped_file.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/progress.h"
#include "server/cli/table.h"

#include <nlohmann/json.hpp>

namespace drover::cli {
namespace {

using Json = nlohmann::json;

struct DeltaOptions {
  std::string base, file, out;
  bool parts = false;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Stream = std::unique_ptr<std::FILE, CloseFile>;

class FileSource final : public delta::ByteSource {
 public:
  FileSource(Stream file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  static Result<FileSource> open(const std::string& path) {
    Stream file(std::fopen(path.c_str(), "rb"));
    if (!file) return Error(errno == ENOENT ? Code::not_found : Code::io, path + ": " + std::strerror(errno));
    return FileSource(std::move(file), path);
  }
  Status read(std::span<std::uint8_t> out) override {
    if (std::fread(out.data(), 1, out.size(), file_.get()) == out.size()) return {};
    return Error(Code::malformed, path_ + ": the delta is cut short");
  }

 private:
  Stream file_;
  std::string path_;
};

// Written beside the path and renamed at the end: a failure leaves what was there.
class FileSink final : public delta::ByteSink {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}
  ~FileSink() override {
    if (!file_ && !closed_) return;
    file_.reset();
    std::remove(part_.c_str());
  }
  Status write(ByteView bytes) override {
    if (!file_) file_.reset(std::fopen(part_.c_str(), "wb"));
    if (!file_ || std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) return failure();
    written += bytes.size();
    return {};
  }
  // The bytes are there under the name of part(), to be looked at before they take their place.
  Status close() {
    TRY(write({}));
    closed_ = true;
    if (std::fclose(file_.release()) != 0) return failure();
    return {};
  }
  Status finish() {
    if (!closed_) TRY(close());
    if (std::rename(part_.c_str(), path_.c_str()) != 0) return failure();
    closed_ = false;
    return {};
  }
  const std::string& part() const { return part_; }
  std::uint64_t written = 0;

 private:
  Error failure() { return Error(errno == ENOSPC ? Code::disk_full : Code::io, part_ + ": " + std::strerror(errno)); }
  std::string path_, part_;
  Stream file_;
  bool closed_ = false;
};

// Only counts: what is written is compared with its digest by the decoder.
class NoSink final : public delta::ByteSink {
 public:
  Status write(ByteView) override { return {}; }
};

std::string_view kind_word(const delta::DeltaPart& part) {
  switch (part.kind) {
    case delta::SegmentKind::copy:
      return "copied";
    case delta::SegmentKind::raw:
      return "as it is";
    case delta::SegmentKind::zstd:
      return "zstd";
    case delta::SegmentKind::prefix:
      return "zstd against base";
    default:
      return part.mode == delta::TensorMode::grid         ? "on a grid"
             : part.mode == delta::TensorMode::difference ? "difference"
                                                          : "numbers alone";
  }
}

std::string_view type_word(const delta::DeltaPart& part) {
  constexpr std::string_view kWords[] = {"fp32", "fp16", "bf16", "int8"};
  return part.kind == delta::SegmentKind::tensor ? kWords[static_cast<int>(part.type)] : "";
}

Json part_json(const delta::DeltaPart& part) {
  Json out = {{"how", kind_word(part)}, {"offset", part.offset}, {"bytes", part.plain}, {"coded", part.coded}};
  if (!part.name.empty()) out["name"] = part.name;
  if (part.kind == delta::SegmentKind::tensor)
    out.update({{"type", type_word(part)}, {"rows", part.rows}, {"columns", part.columns}, {"rank", part.rank}});
  return out;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "" : fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

void add_row(Table& table, const delta::DeltaPart& part) {
  const bool tensor = part.kind == delta::SegmentKind::tensor;
  table.add({part.name, std::string(type_word(part)),
             tensor ? fmt::format("{} x {}", part.rows, part.columns) : std::string(), std::string(kind_word(part)),
             part.rank > 0 ? std::to_string(part.rank) : std::string(), human_bytes(part.plain),
             human_bytes(part.coded), human_bytes(part.plain - std::min(part.plain, part.coded)),
             percent(part.coded, part.plain)});
}

std::string parts_table(const std::vector<delta::DeltaPart>& parts, const Context& context) {
  Table table({{"TENSOR", Align::left, true},
               {"TYPE"},
               {"SHAPE", Align::right},
               {"HOW"},
               {"RANK", Align::right},
               {"BYTES", Align::right},
               {"CODED", Align::right},
               {"SAVED", Align::right},
               {"SHARE", Align::right}});
  for (const delta::DeltaPart& part : parts) add_row(table, part);
  return table.render(context.out_style(), context.out_width());
}

void show_parts(const std::vector<delta::DeltaPart>& parts, std::uint64_t coded, bool table, Context& context,
                Json json = Json::object()) {
  std::uint64_t plain = 0;
  Json items = Json::array();
  for (const delta::DeltaPart& part : parts) {
    plain += part.plain;
    items.push_back(part_json(part));
  }
  json.update({{"bytes", plain}, {"coded", coded}, {"parts", items}});
  context.show(json, [&] {
    return (table ? parts_table(parts, context) : std::string()) +
           fmt::format("{} instead of {}: {}\n", human_bytes(coded), human_bytes(plain), percent(coded, plain));
  });
}

// A base of "-" or "" is none.
Result<fs::MappedFile> map_base(const std::string& path) {
  if (path.empty() || path == "-") return fs::MappedFile();
  return fs::MappedFile::open(path);
}

delta::Progress progress_of(Progress& progress) {
  auto last = std::make_shared<std::uint64_t>(0);
  return [&progress, last](std::uint64_t done, std::uint64_t) { progress.moved(done - std::exchange(*last, done)); };
}

std::string name_of(const delta::DeltaHeader& header) {
  return header.base_size == 0 ? "no base"
                               : fmt::format("{} ({})", header.base.text(), human_bytes(header.base_size));
}

Result<delta::DeltaHeader> header_of(const std::string& path) {
  TRY_ASSIGN(FileSource source, FileSource::open(path));
  delta::NumberReader numbers(source);
  return delta::read_header(numbers).within(path);
}

// Before anything is written: the decoder itself would find out at the end only.
Status check_base(const delta::DeltaHeader& header, const std::string& path, ByteView base) {
  const bool none = header.base_size == 0;
  const crypto::Digest digest = base.empty() ? crypto::Digest() : crypto::sha256(base);
  if (none ? base.empty() : base.size() == header.base_size && digest == header.base) return {};
  const std::string given = base.empty() ? "there is none"
                                         : fmt::format("{} is {} ({})", path, digest.text(), human_bytes(base.size()));
  return Error(Code::invalid_argument,
               fmt::format("the wrong base: this delta was made for {}, but {}", name_of(header), given));
}

// What a device would make of it.
Status check_made(const std::string& path, ByteView base, ByteView target) {
  TRY_ASSIGN(FileSource source, FileSource::open(path));
  NoSink sink;
  delta::ApplyLimits limits;
  limits.max_target = target.size();
  return delta::apply_delta(source, base, limits, sink).within("trying the delta out");
}

Result<int> make(const DeltaOptions& options, Context& context) {
  TRY_ASSIGN(const fs::MappedFile base, map_base(options.base));
  TRY_ASSIGN(const fs::MappedFile target, fs::MappedFile::open(options.file));
  FileSink out(options.out);
  std::vector<delta::DeltaPart> parts;
  {
    Progress progress(context, "coding", target.bytes().size());
    TRY_ASSIGN(parts, delta::make_delta(base.bytes(), target.bytes(), out, progress_of(progress)));
  }
  TRY(out.close());
  TRY(check_made(out.part(), base.bytes(), target.bytes()));
  TRY(out.finish());
  show_parts(parts, out.written, options.parts, context);
  return kOk;
}

Result<int> apply_to(const DeltaOptions& options, Context& context) {
  TRY_ASSIGN(const fs::MappedFile base, map_base(options.base));
  TRY_ASSIGN(const delta::DeltaHeader header, header_of(options.file));
  TRY(check_base(header, options.base, base.bytes()));
  TRY_ASSIGN(FileSource source, FileSource::open(options.file));
  FileSink out(options.out);
  {
    Progress progress(context, "applying", header.target_size);
    TRY(delta::apply_delta(source, base.bytes(), {}, out, progress_of(progress)).within("applying " + options.file));
  }
  TRY(out.finish());
  context.show({{"bytes", out.written}, {"digest", header.target.text()}},
               [&] { return fmt::format("{} written, exactly the target\n", human_bytes(out.written)); });
  return kOk;
}

Result<int> inspect(const DeltaOptions& options, Context& context) {
  TRY_ASSIGN(FileSource source, FileSource::open(options.file));
  TRY_ASSIGN(const delta::DeltaContents contents, delta::inspect_delta(source).within(options.file));
  std::uint64_t coded = delta::kHeaderBytes + 1;
  for (const delta::DeltaPart& part : contents.parts) coded += part.coded;
  if (!context.json)
    context.note(fmt::format("base    {}\ntarget  {} ({})", name_of(contents.header), contents.header.target.text(),
                             human_bytes(contents.header.target_size)));
  Json json = {{"target", contents.header.target.text()}};
  json["base"] = contents.header.base_size == 0 ? Json() : Json(contents.header.base.text());
  show_parts(contents.parts, coded, true, context, std::move(json));
  return kOk;
}

}  // namespace

void add_delta_commands(CommandSpec& root, Context& context) {
  CommandSpec& group = root.sub("delta", "Differences between versions of a model file, tensor by tensor");
  auto o = std::make_shared<DeltaOptions>();
  CommandSpec& m = group.sub("make", "Make a delta that turns BASE into TARGET");
  m.details = "A BASE of - makes a compressed form of TARGET alone.";
  m.examples = {"drover delta make v1/model.onnx v2/model.onnx --out v2.delta --parts"};
  m.argument("BASE", &o->base, "what devices have").file().require();
  m.argument("TARGET", &o->file, "what they are to have").file().require();
  m.option("--out,-o", "FILE", &o->out, "the delta").file().require();
  m.flag("--parts", o->parts, "show what became of each tensor");
  m.action = [o, &context] { return make(*o, context); };
  CommandSpec& a = group.sub("apply", "Apply a delta to its base");
  a.details = "A BASE of - is none, for a delta that was made without one.";
  a.examples = {"drover delta apply v1/model.onnx v2.delta --out v2/model.onnx"};
  a.argument("BASE", &o->base, "exactly the file that the delta was made for").file().require();
  a.argument("DELTA", &o->file, "the delta").file().require();
  a.option("--out,-o", "FILE", &o->out, "the result").file().require();
  a.action = [o, &context] { return apply_to(*o, context); };
  CommandSpec& i = group.sub("inspect", "Show what a delta holds, without its base");
  i.examples = {"drover delta inspect v2.delta", "drover delta inspect v2.delta --json"};
  i.argument("DELTA", &o->file, "the delta").file().require();
  i.action = [o, &context] { return inspect(*o, context); };
}

}  // namespace drover::cli
