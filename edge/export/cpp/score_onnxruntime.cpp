// Score PPM pictures with ONNX Runtime: score_onnxruntime model.int8.u8.onnx preprocess.json picture.ppm...

#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdio>
#include <exception>

#include "edge_iqa_preprocess.hpp"

int main(int count, char** words) {
    if (count < 4) {
        std::fprintf(stderr, "usage: %s model.onnx preprocess.json picture.ppm...\n", words[0]);
        return 2;
    }
    try {
        const auto spec = edge_iqa::read_spec(words[2]);
        const std::string model = edge_iqa::read_file(words[1]);
        Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "edge-iqa");
        environment.DisableTelemetryEvents();
        Ort::Session session(environment, model.data(), model.size(), Ort::SessionOptions{});
        const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        const std::array<std::int64_t, 4> shape{1, spec.height, spec.width, 3};
        const char* const inputs[] = {"image"};
        const char* const outputs[] = {"score"};
        for (int index = 3; index < count; ++index) {
            auto pixels = edge_iqa::preprocess(edge_iqa::read_ppm(words[index]), spec);
            auto image = Ort::Value::CreateTensor<std::uint8_t>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
            auto scores = session.Run(Ort::RunOptions{nullptr}, inputs, &image, 1, outputs, 1);
            std::printf("%.6f\t%s\n", edge_iqa::check_score(scores[0].GetTensorData<float>()[0]), words[index]);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
