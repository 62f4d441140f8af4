// A stand-in for the part of NVIDIA's NvInfer.h that score_tensorrt.cpp uses, so that a compiler without TensorRT
// can check the example. Names and signatures follow NVIDIA's documentation of TensorRT 10.
#pragma once
#include <cstddef>
#include <cstdint>

typedef struct CUstream_st* cudaStream_t;

namespace nvinfer1 {
enum class DataType : int32_t { kFLOAT = 0, kUINT8 = 5 };
class ILogger {
  public:
    enum class Severity : int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2 };
    virtual void log(Severity severity, const char* message) noexcept = 0;
    virtual ~ILogger() = default;
};
class IExecutionContext {
  public:
    virtual ~IExecutionContext() = default;
    bool setTensorAddress(const char* name, void* data) noexcept;
    bool enqueueV3(cudaStream_t stream) noexcept;
};
class ICudaEngine {
  public:
    virtual ~ICudaEngine() = default;
    DataType getTensorDataType(const char* name) const noexcept;
    IExecutionContext* createExecutionContext() noexcept;
};
class IRuntime {
  public:
    virtual ~IRuntime() = default;
    ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept;
};
IRuntime* createInferRuntime(ILogger& logger) noexcept;
}  // namespace nvinfer1
