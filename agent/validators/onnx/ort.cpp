#include "agent/validators/onnx/ort.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>

#include "common/process/environment.h"

namespace drover::onnx {
namespace {

// Positions in the table, as published for the C interface.
enum Slot : std::size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSessionFromArray = 8,
  kRun = 9,
  kCreateSessionOptions = 10,
  kDisableMemPattern = 17,
  kDisableCpuMemArena = 19,
  kSetSessionGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kSessionGetInputCount = 30,
  kSessionGetOutputCount = 31,
  kSessionGetInputTypeInfo = 33,
  kSessionGetInputName = 36,
  kSessionGetOutputName = 37,
  kCreateTensorWithDataAsOrtValue = 49,
  kGetTensorMutableData = 51,
  kCastTypeInfoToTensorInfo = 55,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorShapeElementCount = 64,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kAllocatorFree = 76,
  kGetAllocatorWithDefaultOptions = 78,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTypeInfo = 98,
  kReleaseTensorTypeAndShapeInfo = 99,
  kReleaseSessionOptions = 100,
};

constexpr std::uint32_t kApiVersion = 14;  // the oldest that has every slot above
constexpr int kLogFatal = 4;               // what goes wrong comes back as a status; stderr stays quiet
constexpr int kOptimiseAll = 99;
constexpr int kElementFloat = 1;
constexpr int kArenaAllocator = 1;
constexpr int kDefaultMemory = 0;

struct ApiBase {
  const void* const* (*get_api)(std::uint32_t version);
  const char* (*version)();
};

// A value of the runtime's, released through its slot.
class Owned {
 public:
  Owned(const Api& api, Slot release) : api_(api), release_(release) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned();
  void* get() const { return value_; }
  void** out() { return &value_; }
  void* give_away() { return std::exchange(value_, nullptr); }

 private:
  const Api& api_;
  Slot release_;
  void* value_ = nullptr;
};

}  // namespace

class Api {
 public:
  explicit Api(const void* const* table) : table_(table) {}
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;
  ~Api() {
    release(kReleaseMemoryInfo, memory_);
    release(kReleaseEnv, env_);
  }

  // Every function but the releases gives a status: null when all is well.
  template <class... Arguments>
  Status call(Slot slot, Arguments... arguments) const {
    using Function = void* (*)(Arguments...);
    return check(reinterpret_cast<Function>(const_cast<void*>(table_[slot]))(arguments...));
  }

  void release(Slot slot, void* value) const {
    using Function = void (*)(void*);
    if (value != nullptr) reinterpret_cast<Function>(const_cast<void*>(table_[slot]))(value);
  }

  Status prepare() {
    TRY(call(kCreateEnv, kLogFatal, static_cast<const char*>("drover"), &env_));
    TRY(call(kCreateCpuMemoryInfo, kArenaAllocator, kDefaultMemory, &memory_));
    return call(kGetAllocatorWithDefaultOptions, &allocator_);  // the runtime's own: not released
  }

  void* env() const { return env_; }
  void* memory() const { return memory_; }

  // Copies a text that the runtime allocated, and frees it.
  Result<std::string> name(Slot slot, void* session) const {
    char* text = nullptr;
    TRY(call(slot, session, std::size_t{0}, allocator_, &text));
    std::string copy(text);
    TRY(call(kAllocatorFree, allocator_, static_cast<void*>(text)));
    return copy;
  }

 private:
  // The interface has no code for exhausted memory: its text is all there is.
  static bool is_about_memory(std::string_view text) {
    constexpr std::array<std::string_view, 4> kSigns = {"bad_alloc", "Failed to allocate memory", "bad allocation",
                                                        "out of memory"};
    return std::any_of(kSigns.begin(), kSigns.end(),
                       [&](std::string_view sign) { return text.find(sign) != std::string_view::npos; });
  }

  Status check(void* status) const {
    if (status == nullptr) return {};
    using Function = const char* (*)(const void*);
    const auto message = reinterpret_cast<Function>(const_cast<void*>(table_[kGetErrorMessage]));
    constexpr std::size_t kMaxMessage = 400;  // some hold the whole graph
    std::string text = std::string(message(status)).substr(0, kMaxMessage);
    release(kReleaseStatus, status);
    const Code code = is_about_memory(text) ? Code::validate_memory : Code::validate_load;
    return Error(code, std::move(text));
  }

  const void* const* table_;
  void* env_ = nullptr;
  void* memory_ = nullptr;
  void* allocator_ = nullptr;
};

namespace {

Owned::~Owned() { api_.release(release_, value_); }

struct TensorType {
  int element = 0;
  std::vector<std::int64_t> shape;
};

Result<TensorType> tensor_type(const Api& api, void* info) {
  TensorType type;
  std::size_t count = 0;
  TRY(api.call(kGetTensorElementType, info, &type.element));
  TRY(api.call(kGetDimensionsCount, info, &count));
  if (count > kMaxDimensions) return Error(Code::validate_load, "a tensor has too many dimensions");
  type.shape.resize(count);
  TRY(api.call(kGetDimensions, info, type.shape.data(), count));
  return type;
}

Status set_options(const Api& api, void* options) {
  TRY(api.call(kSetIntraOpNumThreads, options, 1));
  TRY(api.call(kSetInterOpNumThreads, options, 1));
  // The arena keeps what it once had, and patterns plan ahead: both would blur the memory that a model needs.
  TRY(api.call(kDisableCpuMemArena, options));
  TRY(api.call(kDisableMemPattern, options));
  return api.call(kSetSessionGraphOptimizationLevel, options, kOptimiseAll);
}

}  // namespace

Result<Runtime> Runtime::open(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return Error(Code::validator_missing, std::string("ONNX Runtime: ") + ::dlerror());
  const auto get_base = reinterpret_cast<const ApiBase* (*)()>(::dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) return Error(Code::validator_missing, path + " is not ONNX Runtime");
  const ApiBase* base = get_base();
  const void* const* table = base->get_api(kApiVersion);
  if (table == nullptr) return Error(Code::validator_missing, path + " is too old: it must be 1.14 or later");
  auto api = std::make_shared<Api>(table);
  if (Status ready = api->prepare(); !ready)
    return Error(Code::validator_missing, "ONNX Runtime does not start: " + ready.error().message());
  Runtime runtime;
  runtime.api_ = std::move(api);
  runtime.version_ = std::string("onnxruntime ") + base->version();
  return runtime;
}

Result<Session> Runtime::load(ByteView model) const {
  Owned options(*api_, kReleaseSessionOptions), session(*api_, kReleaseSession);
  TRY(api_->call(kCreateSessionOptions, options.out()));
  TRY(set_options(*api_, options.get()));
  TRY(api_->call(kCreateSessionFromArray, api_->env(), static_cast<const void*>(model.data()), model.size(),
                 options.get(), session.out()));
  Session loaded(api_, session.give_away());
  TRY(loaded.learn_names());
  return loaded;
}

Session::Session(Session&& other) noexcept
    : api_(std::move(other.api_)),
      handle_(std::exchange(other.handle_, nullptr)),
      input_name_(std::move(other.input_name_)),
      output_name_(std::move(other.output_name_)),
      input_shape_(std::move(other.input_shape_)) {}

Session& Session::operator=(Session&& other) noexcept {
  std::swap(api_, other.api_);
  std::swap(handle_, other.handle_);
  std::swap(input_name_, other.input_name_);
  std::swap(output_name_, other.output_name_);
  std::swap(input_shape_, other.input_shape_);
  return *this;
}

Session::~Session() {
  if (handle_ != nullptr) api_->release(kReleaseSession, handle_);
}

Status Session::learn_names() {
  std::size_t inputs = 0, outputs = 0;
  TRY(api_->call(kSessionGetInputCount, handle_, &inputs));
  TRY(api_->call(kSessionGetOutputCount, handle_, &outputs));
  if (inputs != 1 || outputs == 0)
    return Error(Code::validate_load, "the model takes " + std::to_string(inputs) + " inputs and gives " +
                                          std::to_string(outputs) + " outputs: one input and an output are needed");
  TRY_ASSIGN(input_name_, api_->name(kSessionGetInputName, handle_));
  TRY_ASSIGN(output_name_, api_->name(kSessionGetOutputName, handle_));
  Owned type(*api_, kReleaseTypeInfo);
  TRY(api_->call(kSessionGetInputTypeInfo, handle_, std::size_t{0}, type.out()));
  void* tensor = nullptr;  // a view into `type`
  TRY(api_->call(kCastTypeInfoToTensorInfo, type.get(), &tensor));
  if (tensor == nullptr) return Error(Code::validate_load, "the model's input is not a tensor");
  TRY_ASSIGN(TensorType input, tensor_type(*api_, tensor));
  if (input.element != kElementFloat) return Error(Code::validate_load, "the model's input is not float32");
  input_shape_ = std::move(input.shape);
  return {};
}

Status Session::run(std::span<const float> input, std::span<const std::int64_t> shape, std::vector<float>& output) {
  Owned in(*api_, kReleaseValue), out(*api_, kReleaseValue);
  // The runtime takes inputs as mutable and does not write to them.
  TRY(api_->call(kCreateTensorWithDataAsOrtValue, api_->memory(), static_cast<void*>(const_cast<float*>(input.data())),
                 input.size_bytes(), shape.data(), shape.size(), kElementFloat, in.out()));
  const char* input_name = input_name_.c_str();
  const char* output_name = output_name_.c_str();
  const void* in_value = in.get();
  TRY(api_->call(kRun, handle_, static_cast<const void*>(nullptr), &input_name, &in_value, std::size_t{1}, &output_name,
                 std::size_t{1}, out.out()));
  return copy_output(out.get(), output);
}

Status Session::copy_output(void* value, std::vector<float>& output) const {
  Owned info(*api_, kReleaseTensorTypeAndShapeInfo);
  TRY(api_->call(kGetTensorTypeAndShape, value, info.out()));
  int element = 0;
  std::size_t count = 0;
  TRY(api_->call(kGetTensorElementType, info.get(), &element));
  TRY(api_->call(kGetTensorShapeElementCount, info.get(), &count));
  if (element != kElementFloat) return Error(Code::validate_load, "the model's output is not float32");
  if (count > kMaxElements) return Error(Code::validate_load, "the model's output is too large");
  void* data = nullptr;
  TRY(api_->call(kGetTensorMutableData, value, &data));
  const float* values = static_cast<const float*>(data);
  output.assign(values, values + count);
  return {};
}

std::string runtime_path() { return process::environment("DROVER_ONNXRUNTIME").value_or("libonnxruntime.so.1"); }

}  // namespace drover::onnx
