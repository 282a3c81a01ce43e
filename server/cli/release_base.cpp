#include "server/cli/release_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "common/delta/rescale.h"
#include "common/delta/snap.h"
#include "common/fs/guarded_file.h"
#include "server/cli/evaluate.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/progress.h"
#include "server/cli/release_commands.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFailuresShown = 2;  // steps behind the limit that are still tried, for the picture

// One variant on its way.
struct Job {
  package::VariantSpec& variant;
  package::PackagePolicy policy;
  fs::path folder;         // the copy that becomes the package
  fs::path scratch;        // beside it, for the models that are tried
  package::Manifest held;  // the base's package
  std::string base_file;   // and its model
  std::vector<SampleSet> sets;
  const ReleaseFolder& base;
};

Result<Bytes> read_model(const fs::path& path) {
  TRY_ASSIGN(const drover::fs::GuardedFile file, drover::fs::GuardedFile::open(path.string()));
  Bytes content(file.bytes().begin(), file.bytes().end());
  TRY(file.whole());
  return content;
}

// Regular files only: what else is in the folder is refused here as it would be when it is packed.
Status copy_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  for (fs::recursive_directory_iterator at(from, error), end; !error && at != end; at.increment(error)) {
    const fs::path target = to / fs::relative(at->path(), from, error);
    if (at->is_symlink(error) || (!at->is_directory(error) && !at->is_regular_file(error)))
      return Error(Code::unsafe_path, at->path().string() + ": neither a file nor a folder");
    if (at->is_directory(error))
      fs::create_directories(target, error);
    else
      fs::copy_file(at->path(), target, error);
  }
  if (error) return Error(Code::io, from.string() + ": " + error.message());
  return {};
}

Result<Job> open_job(const ReleaseFolder& base, const BaseOptions& options, const fs::path& work,
                     package::VariantSpec& variant) {
  TRY_ASSIGN(const std::string text, read_file(variant.folder / package::kPolicyFile, package::kMaxPolicyBytes));
  TRY_ASSIGN(package::PackagePolicy policy, package::parse_policy(as_bytes(text)).within(variant.folder.string()));
  const package::Variant* was = base.index.index.variant(variant.kind);
  if (was == nullptr)
    return Error(Code::invalid_argument,
                 fmt::format("--base: {} {} has no variant for {}", base.model(), base.version(), variant.kind));
  TRY_ASSIGN(package::Manifest manifest, base.layout.read_manifest(was->descriptor));
  if (manifest.confidential())
    return Error(
        Code::invalid_argument,
        fmt::format("--base: its variant for {} is encrypted; give the folder of a release that was built from the "
                    "same files without encryption",
                    variant.kind));
  const package::File* model = manifest.file(policy.model_file);
  if (model == nullptr)
    return Error(Code::invalid_argument,
                 fmt::format("--base: its variant for {} has no file {}", variant.kind, policy.model_file));
  Job job{.variant = variant,
          .policy = std::move(policy),
          .folder = work / variant.kind / "package",
          .scratch = work / variant.kind,
          .held = manifest,
          .base_file = base.layout.blob_path(model->digest).string(),
          .sets = {},
          .base = base};
  if (job.policy.validation.golden) job.sets.push_back(golden_set(variant.folder, *job.policy.validation.golden));
  if (!options.held_out.empty()) {
    TRY_ASSIGN(SampleSet held_out, read_sample_set(options.held_out, "held-out").within("--held-out"));
    const auto& golden = job.policy.validation.golden;
    if (golden && golden->input_shape != held_out.input_shape)
      return Error(Code::invalid_argument,
                   fmt::format("--held-out: its samples are [{}], those of the golden set [{}]",
                               fmt::join(held_out.input_shape, ", "), fmt::join(golden->input_shape, ", ")));
    job.sets.push_back(std::move(held_out));
  }
  return job;
}

fs::path exact_outputs(const Job& job, const SampleSet& set) { return job.scratch / (set.name + ".exact.f32"); }

// The model as it was given: what all others are measured against.
Result<Trial> exact_trial(const Job& job, ByteView base, ByteView model, const Evaluator& evaluator) {
  Trial trial{.name = "exact", .k = 0, .bytes = 0, .scores = {}};
  TRY_ASSIGN(trial.bytes, delta_bytes(base, model));
  for (const SampleSet& set : job.sets) {
    TRY_ASSIGN(const double score,
               evaluator.score(job.variant.folder / job.policy.model_file, set, {}, exact_outputs(job, set)));
    trial.scores.push_back({set.name, score, score});
  }
  return trial;
}

Result<Trial> try_model(const Job& job, ByteView base, ByteView model, double k, const Trial& exact,
                        const Evaluator& evaluator) {
  Trial trial{.name = k == 0 ? "kept" : fmt::format("{:g}", k), .k = k, .bytes = 0, .scores = {}};
  TRY_ASSIGN(trial.bytes, delta_bytes(base, model));
  const fs::path file = job.scratch / "tried.model";
  if (!job.sets.empty()) TRY(write_file(file, as_text(model)));
  for (std::size_t i = 0; i < job.sets.size(); ++i) {
    const SampleSet& set = job.sets[i];
    TRY_ASSIGN(const double score, evaluator.score(file, set, exact_outputs(job, set), {}));
    trial.scores.push_back({set.name, exact.scores[i].before, score});
  }
  return trial;
}

Error over_limit(const Job& job, const Trial& trial, double max_loss, std::string_view option) {
  std::string sets;
  for (const Score& score : trial.scores)
    sets += fmt::format("{}{} {:.2f} % instead of {:.2f} %", sets.empty() ? "" : ", ", score.set, 100 * score.after,
                        100 * score.before);
  return Error(Code::invalid_argument, fmt::format("{}: {} loses {:.2f} points ({}), and --max-loss is {:g}",
                                                   job.variant.kind, option, trial.loss(), sets, max_loss));
}

// Tries the steps, and leaves the model that is taken in `model`.
Result<Trade> search(const Job& job, const BaseSettings& settings, ByteView base, Bytes& model,
                     const Evaluator& evaluator, Progress& progress) {
  Trade trade{.kind = job.variant.kind, .file_bytes = model.size(), .trials = {}, .taken = 0};
  const bool automatic = *settings.snap == 0;
  if (automatic && job.sets.empty())
    return Error(Code::invalid_argument,
                 "--snap auto needs something to measure by: --held-out, or a golden set in the package");
  Bytes moved = model;
  TRY(delta::snap_model(base, automatic ? snap_steps().front() : *settings.snap,
                        moved));  // refused before time is spent
  TRY_ASSIGN(Trial exact, exact_trial(job, base, model, evaluator));
  trade.trials.push_back(exact);
  std::size_t failures = 0;
  for (const double k : automatic ? snap_steps() : std::vector<double>{*settings.snap}) {
    progress.item(fmt::format("{} at {:g}", job.variant.kind, k));
    moved = model;
    TRY(delta::snap_model(base, k, moved));
    TRY_ASSIGN(Trial trial, try_model(job, base, moved, k, exact, evaluator));
    failures += trial.within(settings.max_loss) ? 0 : 1;
    trade.trials.push_back(std::move(trial));
    progress.moved(1);
    if (failures >= kFailuresShown) break;
  }
  const auto taken = choose_trial(trade.trials, settings.max_loss);
  if (!taken) return over_limit(job, trade.trials[1], settings.max_loss, fmt::format("--snap {:g}", trade.trials[1].k));
  trade.taken = *taken;
  TRY(delta::snap_model(base, trade.trials[*taken].k, model));
  return trade;
}

nlohmann::json trial_json(const Trade& trade, const Trial& trial) {
  nlohmann::json scores = nlohmann::json::object();
  for (const Score& score : trial.scores) scores[score.set] = {{"before", score.before}, {"after", score.after}};
  return {
      {"deviations", trial.k},
      {"delta_bytes", trial.bytes},
      {"share", static_cast<double>(trial.bytes) / static_cast<double>(std::max<std::uint64_t>(1, trade.file_bytes))},
      {"loss", trial.loss()},
      {"scores", scores}};
}

// The package's copy gets the model, and golden outputs that are the model's own: devices compare with them.
Status finish_package(Job& job, ByteView model, const Trade& trade, const Evaluator& evaluator) {
  TRY(copy_folder(job.variant.folder, job.folder));
  const fs::path file = job.folder / job.policy.model_file;
  TRY(write_file(file, as_text(model)));
  if (const auto& golden = job.policy.validation.golden) {
    TRY_ASSIGN(const double score,
               evaluator.score(file, golden_set(job.folder, *golden), {}, job.folder / golden->outputs));
    if (!golden->labels.empty() && score < golden->min_accuracy)
      return Error(
          Code::invalid_argument,
          fmt::format(
              "{}: its accuracy on the golden set is {:.2f} %, and devices ask for {:.2f} % (min_accuracy in {})",
              job.variant.kind, 100 * score, 100 * golden->min_accuracy, package::kPolicyFile));
  }
  auto& notes = job.variant.annotations;
  notes[kBaseIndex] = job.base.index.digest.text();
  notes[kBaseVersion] = job.base.version();
  for (const Score& score : trade.trials[trade.taken].scores)
    notes[kScorePrefix + score.set] = fmt::format("{:.4f} {:.4f}", score.before, score.after);
  job.variant.folder = job.folder;
  return {};
}

Result<MovedModel> snap_variant(Job& job, const BaseSettings& settings, ByteView base, Bytes& model,
                                const Evaluator& evaluator, Progress& progress) {
  MovedModel moved{.trade = {}, .snapped = true, .report = {}};
  TRY_ASSIGN(moved.trade, search(job, settings, base, model, evaluator, progress));
  const Trial& taken = moved.trade.trials[moved.trade.taken];
  job.variant.annotations[kSnapDeviations] = fmt::format("{:g}", taken.k);
  moved.report = {{"kind", job.variant.kind}, {"how", "snapped"}, {"deviations", taken.k}};
  return moved;
}

Result<MovedModel> keep_variant(Job& job, const BaseSettings& settings, ByteView base, Bytes& model,
                                const Evaluator& evaluator) {
  MovedModel moved{.trade = {.kind = job.variant.kind, .file_bytes = model.size(), .trials = {}, .taken = 1},
                   .snapped = false,
                   .report = {}};
  const Bytes given = model;
  drover::fs::GuardedFile source;
  if (!settings.float_model.empty()) {
    TRY_ASSIGN(source, drover::fs::GuardedFile::open(settings.float_model).within("--float-model"));
    if (source.bytes().empty()) return Error(Code::invalid_argument, "--float-model: the file is empty");
    job.variant.annotations[kQuantisedFrom] = crypto::sha256(source.bytes()).text();
  }
  TRY_ASSIGN(const delta::RescaleReport report, delta::keep_scales(base, source.bytes(), model));
  TRY(source.whole());
  TRY_ASSIGN(Trial exact, exact_trial(job, base, given, evaluator));
  TRY_ASSIGN(Trial trial, try_model(job, base, model, 0, exact, evaluator));
  if (!trial.within(settings.max_loss)) return over_limit(job, trial, settings.max_loss, "--keep-scales");
  moved.trade.trials = {std::move(exact), std::move(trial)};
  job.variant.annotations[kScalesKept] = fmt::format("{} of {}", report.kept, report.scales);
  const double weights = static_cast<double>(std::max<std::uint64_t>(1, report.weights));
  moved.report = {{"kind", job.variant.kind},
                  {"how", "scales kept"},
                  {"tensors", report.tensors},
                  {"scales", report.scales},
                  {"scales_kept", report.kept},
                  {"saturated", static_cast<double>(report.saturated) / weights},
                  {"changed_before", static_cast<double>(report.changed_own) / weights},
                  {"changed_after", static_cast<double>(report.changed) / weights}};
  if (!source.bytes().empty()) moved.report["quantised_from"] = job.variant.annotations[kQuantisedFrom];
  return moved;
}

bool has_weights(const BaseSettings& settings, ByteView model) {
  if (settings.keep_scales && !delta::find_quantised(model).empty()) return true;
  return settings.snap && delta::can_snap(model);
}

Result<MovedModel> move_variant(Job& job, const BaseSettings& settings, Bytes model, const Evaluator& evaluator,
                                Progress& progress) {
  TRY_ASSIGN(const drover::fs::GuardedFile base, drover::fs::GuardedFile::open(job.base_file));
  std::error_code error;
  fs::create_directories(job.scratch, error);
  const bool keep = settings.keep_scales && (!settings.snap || !delta::find_quantised(model).empty());
  auto moved = keep ? keep_variant(job, settings, base.bytes(), model, evaluator)
                    : snap_variant(job, settings, base.bytes(), model, evaluator, progress);
  TRY(base.whole());
  if (!moved) return std::move(moved).error().within(job.variant.kind);
  const Trade& trade = moved->trade;
  TRY_ASSIGN(moved->exact, package_cost(job.base.layout, job.held, job.variant.folder, job.policy.model_file,
                                        trade.trials.front().bytes));
  TRY(finish_package(job, model, trade, evaluator).within(job.variant.kind));
  TRY_ASSIGN(moved->package, package_cost(job.base.layout, job.held, job.folder, job.policy.model_file,
                                          trade.trials[trade.taken].bytes));
  moved->report["package"] = {{"bytes", moved->package.bytes},
                              {"sent", moved->package.sent},
                              {"share", moved->package.share()},
                              {"sent_before", moved->exact.sent}};
  moved->report["file_bytes"] = moved->trade.file_bytes;
  moved->report["base"] = job.base.index.digest.text();
  for (const Trial& trial : moved->trade.trials) moved->report["trials"].push_back(trial_json(moved->trade, trial));
  return moved;
}

// One drawing goes where it was said, several beside one another.
Status write_drawings(const fs::path& plot, const std::vector<MovedModel>& moved) {
  const auto drawn = std::count_if(moved.begin(), moved.end(), [](const MovedModel& one) { return one.snapped; });
  if (drawn == 0) return Error(Code::invalid_argument, "nothing to draw: no variant was snapped");
  for (const MovedModel& one : moved) {
    if (!one.snapped) continue;
    fs::path path = plot;
    if (drawn > 1) path.replace_filename(plot.stem().string() + "." + one.trade.kind + plot.extension().string());
    TRY(write_file(path, trade_drawing(one.trade)));
  }
  return {};
}

}  // namespace

Result<std::vector<MovedModel>> move_to_base(const BaseOptions& options, const fs::path& work,
                                             std::vector<package::VariantSpec>& variants, Context& context) {
  std::vector<MovedModel> all;
  TRY_ASSIGN(const BaseSettings settings, read_base_settings(options));
  if (options.base.empty()) return all;
  TRY_ASSIGN(const ReleaseFolder base, open_release(options.base).within("--base"));
  const Evaluator evaluator{context};
  Progress progress(context, "moving", variants.size() * snap_steps().size());
  for (package::VariantSpec& variant : variants) {
    TRY_ASSIGN(Job job, open_job(base, options, work, variant));
    TRY_ASSIGN(Bytes model, read_model(variant.folder / job.policy.model_file));
    // A release has variants of several kinds; the options are for those that they fit.
    if (variants.size() > 1 && !has_weights(settings, model)) continue;
    TRY_ASSIGN(MovedModel moved, move_variant(job, settings, std::move(model), evaluator, progress));
    all.push_back(std::move(moved));
  }
  if (all.empty())
    return Error(Code::invalid_argument, "--base: no variant has weights that --snap or --keep-scales could move");
  if (!options.plot.empty()) TRY(write_drawings(options.plot, all).within("--plot"));
  return all;
}

std::string moved_text(const std::vector<MovedModel>& moved, const Context& context) {
  std::string out;
  for (const MovedModel& one : moved) {
    const nlohmann::json& report = one.report;
    out += fmt::format("{}: {}", one.trade.kind,
                       one.snapped                         ? "moved onto a grid around the base"
                       : report.contains("quantised_from") ? "quantised anew on the base's scales"
                                                           : "on the base's scales");
    if (!one.snapped)
      out += fmt::format(
          ": {} of {} scales; {:.1f} % of the weights differ from the base, {:.1f} % before; {:.3f} % cut off",
          report["scales_kept"].get<std::uint64_t>(), report["scales"].get<std::uint64_t>(),
          100 * report["changed_after"].get<double>(), 100 * report["changed_before"].get<double>(),
          100 * report["saturated"].get<double>());
    out += "\n" + trade_table(one.trade, context.out_style(), context.out_width());
    out += fmt::format("whole package: {} of {} is sent, {:.1f} %; {:.1f} % as it was given\n\n",
                       human_bytes(one.package.sent), human_bytes(one.package.bytes), 100 * one.package.share(),
                       100 * one.exact.share());
  }
  return out;
}

}  // namespace drover::cli
