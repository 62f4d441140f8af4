// A stand-in for the part of ONNX Runtime's C++ interface that score_onnxruntime.cpp uses.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
enum OrtAllocatorType { OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };
namespace Ort {
struct Env {
    Env(OrtLoggingLevel level, const char* name);
    const Env& DisableTelemetryEvents() const;
};
struct SessionOptions {};
struct RunOptions {
    explicit RunOptions(std::nullptr_t) {}
};
struct MemoryInfo {
    static MemoryInfo CreateCpu(OrtAllocatorType allocator, OrtMemType kind);
};
struct Value {
    template <typename T>
    static Value CreateTensor(const MemoryInfo& memory, T* data, std::size_t count, const int64_t* shape, std::size_t rank);
    template <typename T>
    const T* GetTensorData() const;
};
struct Session {
    Session(const Env& environment, const void* model, std::size_t size, const SessionOptions& options);
    std::vector<Value> Run(const RunOptions& options, const char* const* inputs, const Value* values, std::size_t count,
                           const char* const* outputs, std::size_t outputs_count);
};
}  // namespace Ort
