// delta make, apply, inspect: the codec for people. Fleets need none of it: the server and the agents do it by
// themselves.
#include "common/delta/delta.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/cli/commands.h"
#include "server/cli/delta_files.h"
#include "server/cli/delta_table.h"
#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/progress.h"

namespace drover::cli {
namespace {

using Json = nlohmann::json;

struct DeltaOptions {
  std::string base, file, out, model;
  bool parts = false, all = false;
};

// Only counts: what is written is compared with its digest by the decoder.
class NoSink final : public delta::ByteSink {
 public:
  Status write(ByteView) override { return {}; }
};

void show(const DeltaView& view, bool table, const DeltaOptions& options, Context& context,
          Json more = Json::object()) {
  more.update(delta_json(view));
  context.show(more, [&] {
    return (table ? delta_table(view, options.all, context.out_style(), context.out_width()) : std::string()) +
           delta_verdict(view);
  });
}

delta::Progress progress_of(Progress& progress) {
  auto last = std::make_shared<std::uint64_t>(0);
  return [&progress, last](std::uint64_t done, std::uint64_t) { progress.moved(done - std::exchange(*last, done)); };
}

std::string name_of(const delta::DeltaHeader& header) {
  return header.base_size == 0 ? "no base" : fmt::format("{} ({})", header.base.text(), human_bytes(header.base_size));
}

// Before anything is written: the decoder itself would find out at the end only.
Status check_base(const delta::DeltaHeader& header, const std::string& path, const fs::GuardedFile& file) {
  const ByteView base = file.bytes();
  const bool none = header.base_size == 0;
  const crypto::Digest digest = base.empty() ? crypto::Digest() : crypto::sha256(base);
  TRY(file.whole());
  if (none ? base.empty() : base.size() == header.base_size && digest == header.base) return {};
  const std::string given =
      base.empty() ? "there is none" : fmt::format("{} is {} ({})", path, digest.text(), human_bytes(base.size()));
  return Error(Code::invalid_argument,
               fmt::format("the wrong base: this delta was made for {}, but {}", name_of(header), given));
}

// Why it failed, when the reason is a base that was another one at the end than at the beginning.
Status check_still(const delta::DeltaHeader& header, const std::string& path, const fs::GuardedFile& base) {
  TRY(base.whole());
  if (header.base_size == 0 || crypto::sha256(base.bytes()) == header.base) return {};
  return Error(Code::io, path + " was changed while it was read; nothing was made of it");
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
  TRY_ASSIGN(const fs::GuardedFile base, open_base(options.base));
  TRY_ASSIGN(const fs::GuardedFile target, fs::GuardedFile::open(options.file));
  FileSink out(options.out);
  std::vector<delta::DeltaPart> parts;
  {
    Progress progress(context, "coding", target.bytes().size());
    TRY_ASSIGN(parts, delta::make_delta(base.bytes(), target.bytes(), out, progress_of(progress)));
  }
  TRY(out.close());
  const Status made = check_made(out.part(), base.bytes(), target.bytes());
  TRY(base.whole());
  TRY(target.whole());
  TRY(made);
  const DeltaView view = view_of(places_in_target(target.bytes()), std::move(parts));
  TRY(out.finish());
  show(view, options.parts, options, context);
  return kOk;
}

Result<int> apply_to(const DeltaOptions& options, Context& context) {
  TRY_ASSIGN(const fs::GuardedFile base, open_base(options.base));
  TRY_ASSIGN(FileSource source, FileSource::open(options.file));
  TRY_ASSIGN(const delta::DeltaHeader header, source.header());
  TRY(check_base(header, options.base, base));
  FileSink out(options.out);
  Status applied;
  {
    Progress progress(context, "applying", header.target_size);
    applied = delta::apply_delta(source, base.bytes(), {}, out, progress_of(progress));
  }
  if (!applied) {
    TRY(check_still(header, options.base, base));
    return std::move(applied).error().within("applying " + options.file);
  }
  TRY(out.finish());
  context.show({{"bytes", out.written}, {"digest", header.target.text()}},
               [&] { return fmt::format("{} written, exactly the target\n", human_bytes(out.written)); });
  return kOk;
}

// Which end of the delta the model is, and the names in it.
struct Names {
  Places places;
  const char* from = nullptr;  // "target", "base"
};

Result<Names> names_of(const std::string& path, const delta::DeltaContents& contents) {
  if (path.empty()) return Names{};
  TRY_ASSIGN(const fs::GuardedFile model, fs::GuardedFile::open(path));
  const crypto::Digest digest = crypto::sha256(model.bytes());
  const delta::DeltaHeader& header = contents.header;
  const bool target = digest == header.target, base = header.base_size > 0 && digest == header.base;
  Names names;
  if (target) names = {places_in_target(model.bytes()), "target"};
  if (base && !target) names = {places_through_base(model.bytes(), contents.parts), "base"};
  TRY(model.whole());
  if (names.from == nullptr)
    return Error(Code::invalid_argument,
                 fmt::format("--model: {} is {}, neither this delta's target, {}, nor its base, {}", path,
                             digest.text(), header.target.text(), name_of(header)));
  return names;
}

void note_ends(const delta::DeltaHeader& header, const DeltaOptions& options, const Names& names, Context& context) {
  const std::string from = names.from == nullptr ? "" : names.from;
  const auto given = [&](std::string_view end) { return from == end ? "  " + options.model : std::string(); };
  context.note(fmt::format("base    {}{}\ntarget  {} ({}){}", name_of(header), given("base"), header.target.text(),
                           human_bytes(header.target_size), given("target")));
  if (names.from == nullptr)
    context.note("names of tensors: --model FILE, with the new file or the base");
  else if (names.places.empty())
    context.note("names of tensors: " + options.model +
                 " describes none (ONNX, safetensors, TensorFlow Lite and GGUF do)");
}

Result<int> inspect(const DeltaOptions& options, Context& context) {
  TRY_ASSIGN(FileSource source, FileSource::open(options.file));
  TRY_ASSIGN(delta::DeltaContents contents, delta::inspect_delta(source).within(options.file));
  TRY_ASSIGN(const Names names, names_of(options.model, contents));
  if (!context.json) note_ends(contents.header, options, names, context);
  Json json = {{"target", contents.header.target.text()}};
  json["base"] = contents.header.base_size == 0 ? Json() : Json(contents.header.base.text());
  if (names.from != nullptr) json["names_from"] = names.from;
  show(view_of(names.places, std::move(contents.parts)), true, options, context, std::move(json));
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
  m.flag("--parts", o->parts, "show what became of each tensor: how it is coded, what it takes, what that saves");
  m.flag("--all", o->all, "with --parts: all tensors, however many");
  m.action = [o, &context] { return make(*o, context); };
  CommandSpec& a = group.sub("apply", "Apply a delta to its base");
  a.details =
      "A BASE of - is none, for a delta that was made without one. DELTA is read once from front to back: it may be a "
      "pipe. "
      "A base that changes or shrinks while it is read is an error, and leaves nothing behind.";
  a.examples = {"drover delta apply v1/model.onnx v2.delta --out v2/model.onnx"};
  a.argument("BASE", &o->base, "exactly the file that the delta was made for").file().require();
  a.argument("DELTA", &o->file, "the delta").file().require();
  a.option("--out,-o", "FILE", &o->out, "the result").file().require();
  a.action = [o, &context] { return apply_to(*o, context); };
  CommandSpec& i = group.sub("inspect", "Show what a delta holds and what it saves, tensor by tensor");
  i.details =
      "A delta knows places in files, no names. With --model the tensors are named from the new file or from the base, "
      "whichever it is (its digest tells): ONNX, safetensors, TensorFlow Lite or GGUF. Those of one layer stand "
      "together, "
      "what costs most comes first. Without it numbers are shown by their place in the new file, @BYTES.";
  i.examples = {"drover delta inspect v2.delta --model v1/model.onnx", "drover delta inspect v2.delta --json"};
  i.argument("DELTA", &o->file, "the delta").file().require();
  i.option("--model", "FILE", &o->model, "the new file, or the base: its tensors' names").file();
  i.flag("--all", o->all, "all tensors, however many");
  i.action = [o, &context] { return inspect(*o, context); };
}

}  // namespace drover::cli
