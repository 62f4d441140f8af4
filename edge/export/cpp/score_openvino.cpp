// Score PPM pictures with OpenVINO: score_openvino model.xml preprocess.json picture.ppm...

#include <cstdio>
#include <cstring>
#include <exception>
#include <openvino/openvino.hpp>

#include "edge_iqa_preprocess.hpp"

int main(int count, char** words) {
    if (count < 4) {
        std::fprintf(stderr, "usage: %s model.xml preprocess.json picture.ppm...\n", words[0]);
        return 2;
    }
    try {
        const auto spec = edge_iqa::read_spec(words[2]);
        ov::Core core;
        // Without the second hint the float head is computed in bfloat16 where the processor knows it.
        auto model = core.compile_model(words[1], "CPU", ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                                        ov::hint::inference_precision(ov::element::f32));
        auto request = model.create_infer_request();
        ov::Tensor input(ov::element::u8, ov::Shape{1, std::size_t(spec.height), std::size_t(spec.width), 3});
        for (int index = 3; index < count; ++index) {
            const auto pixels = edge_iqa::preprocess(edge_iqa::read_ppm(words[index]), spec);
            std::memcpy(input.data(), pixels.data(), pixels.size());
            request.set_input_tensor(input);
            request.infer();
            std::printf("%.6f\t%s\n", edge_iqa::check_score(request.get_output_tensor().data<float>()[0]), words[index]);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
