// Score PPM pictures with a TensorRT engine: score_tensorrt model.engine preprocess.json picture.ppm...
//
// The engine is what trtexec built on this very device from the exported graph (README.md has the command). Engines
// are native code: load only those that were built here. TensorRT 8.5 to 11.

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <exception>
#include <memory>

#include "edge_iqa_preprocess.hpp"

namespace {

class Logger : public nvinfer1::ILogger {
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kWARNING) std::fprintf(stderr, "%s\n", message);
    }
};

void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
}

// Device memory that is given back.
class DeviceBuffer {
  public:
    explicit DeviceBuffer(std::size_t size) { check(cudaMalloc(&address_, size)); }
    ~DeviceBuffer() { cudaFree(address_); }
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;
    void* get() const { return address_; }

  private:
    void* address_ = nullptr;
};

void run(int count, char** words) {
    const auto spec = edge_iqa::read_spec(words[2]);
    const std::string plan = edge_iqa::read_file(words[1]);
    Logger logger;
    const std::unique_ptr<nvinfer1::IRuntime> runtime(nvinfer1::createInferRuntime(logger));
    const std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime->deserializeCudaEngine(plan.data(), plan.size()));
    if (!engine) throw std::runtime_error("the engine was built for another TensorRT or GPU: build it here");
    if (engine->getTensorDataType("image") != nvinfer1::DataType::kUINT8) throw std::runtime_error("the input is not uint8");
    const std::unique_ptr<nvinfer1::IExecutionContext> context(engine->createExecutionContext());
    const std::size_t size = std::size_t(spec.height) * spec.width * 3;
    const DeviceBuffer image(size);
    const DeviceBuffer result(sizeof(float));
    context->setTensorAddress("image", image.get());
    context->setTensorAddress("score", result.get());
    cudaStream_t stream = nullptr;
    check(cudaStreamCreate(&stream));
    for (int index = 3; index < count; ++index) {
        const auto pixels = edge_iqa::preprocess(edge_iqa::read_ppm(words[index]), spec);
        float score = -1.0f;
        check(cudaMemcpyAsync(image.get(), pixels.data(), size, cudaMemcpyHostToDevice, stream));
        if (!context->enqueueV3(stream)) throw std::runtime_error("TensorRT could not run the engine");
        check(cudaMemcpyAsync(&score, result.get(), sizeof(score), cudaMemcpyDeviceToHost, stream));
        check(cudaStreamSynchronize(stream));
        std::printf("%.6f\t%s\n", edge_iqa::check_score(score), words[index]);
    }
    check(cudaStreamDestroy(stream));
}

}  // namespace

int main(int count, char** words) {
    if (count < 4) {
        std::fprintf(stderr, "usage: %s model.engine preprocess.json picture.ppm...\n", words[0]);
        return 2;
    }
    try {
        run(count, words);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
