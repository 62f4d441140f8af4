// From any RGB picture to the input tensor of an edge-iqa model: read preprocess.json, read a PPM, scale and crop.
//
// The rule is that of edge_iqa.preprocess. Sizes and positions are the same; a resized value may differ by one
// level of 255 from OpenCV's, which rounds in fixed point and with the processor's vector instructions; on x86-64 with OpenCV 5.0 no difference was found.
// C++17, no dependency.

#ifndef EDGE_IQA_PREPROCESS_HPP
#define EDGE_IQA_PREPROCESS_HPP

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace edge_iqa {

constexpr int max_side = 65535;

struct Picture {
    int height = 0;
    int width = 0;
    std::vector<std::uint8_t> pixels;  // height * width * 3, RGB
};

struct PreprocessSpec {
    int height = 0;
    int width = 0;
    int shorter_side = 0;  // larger pictures are shrunk to it before the middle is cut out; 0: to what covers the input
};

inline std::string read_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw std::runtime_error(path + ": cannot be opened");
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// Read preprocess.json; refuses a rule that this header does not have.
inline PreprocessSpec read_spec(const std::string& path) {
    const std::string text = read_file(path);
    const auto value = [&](const std::string& key) {
        const std::size_t place = text.find('"' + key + '"');
        const std::size_t colon = text.find(':', place);
        if (place == std::string::npos || colon == std::string::npos) throw std::runtime_error(path + ": has no " + key);
        const std::size_t start = text.find_first_not_of(" \n\t", colon + 1);
        const std::size_t stop = std::min(text.find_first_of(",}\n", start), text.size());
        return start == std::string::npos ? std::string() : text.substr(start, stop - start);
    };
    const auto expect = [&](const std::string& key, const std::string& known) {
        if (value(key) != known) throw std::runtime_error(path + ": " + key + " is " + value(key) + ", not " + known);
    };
    expect("schema_version", "1");
    const bool shrinks = value("resize") == "\"shrink-crop\"";
    if (!shrinks) expect("resize", "\"cover-crop\"");
    expect("shrink", "\"area\"");
    expect("enlarge", "\"linear\"");
    expect("colour", "\"rgb\"");
    return {std::stoi(value("height")), std::stoi(value("width")), shrinks ? std::stoi(value("shorter_side")) : 0};
}

// Read a binary PPM (P6, 8 bits per colour).
inline Picture read_ppm(const std::string& path) {
    const std::string bytes = read_file(path);
    std::size_t position = 2;
    const auto number = [&]() {
        while (position < bytes.size() && (std::isspace(static_cast<unsigned char>(bytes[position])) || bytes[position] == '#')) {
            if (bytes[position] == '#') position = std::min(bytes.find('\n', position), bytes.size() - 1);
            ++position;
        }
        int found = 0;
        const std::size_t start = position;
        while (position < bytes.size() && std::isdigit(static_cast<unsigned char>(bytes[position])) && found <= max_side) {
            found = 10 * found + (bytes[position++] - '0');
        }
        if (position == start) throw std::runtime_error(path + ": is not a binary PPM");
        return found;
    };
    if (bytes.compare(0, 2, "P6") != 0) throw std::runtime_error(path + ": is not a binary PPM (P6)");
    Picture picture;
    picture.width = number();
    picture.height = number();
    const int largest = number();
    ++position;  // the one white space after the header
    if (picture.width < 1 || picture.height < 1 || picture.width > max_side || picture.height > max_side || largest != 255) {
        throw std::runtime_error(path + ": needs 1 to 65535 pixels a side and 255 levels");
    }
    const std::size_t size = std::size_t(picture.width) * picture.height * 3;
    if (position > bytes.size() || bytes.size() - position < size) throw std::runtime_error(path + ": is cut short");
    picture.pixels.assign(bytes.begin() + position, bytes.begin() + position + size);
    return picture;
}

namespace detail {

// One source position and its share in one output position.
struct Tap {
    int source;
    float weight;
};

// How OpenCV ends a sum: in float with halves to even, in integers with halves up, or in fixed point of 11 bits.
enum class Rounding { to_even, halves_up, fixed_point };

using Taps = std::vector<std::vector<Tap>>;

// Each output position averages the source interval that it covers, parts of pixels by their share.
inline Taps area_taps(int source_size, int size) {
    const double scale = double(source_size) / size;
    Taps taps(size);
    for (int index = 0; index < size; ++index) {
        const double first = index * scale;
        const double last = first + scale;
        const double width = std::min(scale, source_size - first);
        const int stop = std::min(int(std::floor(last)), source_size - 1);
        const int start = std::min(int(std::ceil(first)), stop);
        if (start - first > 1e-3) taps[index].push_back({start - 1, float((start - first) / width)});
        for (int source = start; source < stop; ++source) taps[index].push_back({source, float(1.0 / width)});
        if (last - stop > 1e-3) taps[index].push_back({stop, float(std::min(std::min(last - stop, 1.0), width) / width)});
    }
    return taps;
}

// Bilinear between the two nearest source positions, pixel centres at half, edges repeated.
inline Taps linear_taps(int source_size, int size) {
    const double scale = double(source_size) / size;
    Taps taps(size);
    for (int index = 0; index < size; ++index) {
        const double centre = (index + 0.5) * scale - 0.5;
        const int left = int(std::floor(centre));
        const float share = float(std::nearbyint((centre - left) * 2048) / 2048);  // 11 bits, as OpenCV has
        taps[index].push_back({std::clamp(left, 0, source_size - 1), 1.0f - share});
        taps[index].push_back({std::clamp(left + 1, 0, source_size - 1), share});
    }
    return taps;
}

inline std::vector<std::uint8_t> resample(
    const Picture& picture, int top, int left, const Taps& rows, const Taps& columns, Rounding rounding) {
    const std::size_t width = columns.size();
    std::vector<std::uint8_t> result(rows.size() * width * 3);
    std::vector<float> line(width * 3);
    std::vector<float> sum(width * 3);
    for (std::size_t row = 0; row < rows.size(); ++row) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (const Tap& tap : rows[row]) {
            const std::uint8_t* source = &picture.pixels[(std::size_t(top + tap.source) * picture.width + left) * 3];
            std::fill(line.begin(), line.end(), 0.0f);
            for (std::size_t column = 0; column < width; ++column) {
                for (const Tap& across : columns[column]) {
                    for (int colour = 0; colour < 3; ++colour) {
                        line[column * 3 + colour] += across.weight * source[across.source * 3 + colour];
                    }
                }
            }
            for (std::size_t index = 0; index < line.size(); ++index) {
                if (rounding == Rounding::fixed_point) {
                    sum[index] += float((int(tap.weight * 2048) * (int(line[index] * 2048) >> 4)) >> 16);
                } else {
                    sum[index] += tap.weight * line[index];
                }
            }
        }
        for (std::size_t index = 0; index < sum.size(); ++index) {
            float rounded = std::nearbyint(sum[index]);
            if (rounding == Rounding::halves_up) rounded = std::floor(sum[index] + 0.5f);
            if (rounding == Rounding::fixed_point) rounded = std::floor((sum[index] + 2) / 4);
            result[row * width * 3 + index] = std::uint8_t(std::clamp(rounded, 0.0f, 255.0f));
        }
    }
    return result;
}

}  // namespace detail

// The model's input, uint8 RGB (1, height, width, 3): a centred part that has the model's shape, scaled to its size.
inline std::vector<std::uint8_t> preprocess(const Picture& picture, const PreprocessSpec& spec) {
    double scale = std::max(double(spec.height) / picture.height, double(spec.width) / picture.width);
    if (spec.shorter_side > 0) {
        scale = std::max(scale, std::min(1.0, double(spec.shorter_side) / std::min(picture.height, picture.width)));
    }
    const auto keep = [&](int wanted, int there) { return std::min(there, std::max(1, int(std::nearbyint(wanted / scale)))); };
    const int height = keep(spec.height, picture.height);
    const int width = keep(spec.width, picture.width);
    const int top = (picture.height - height) / 2;
    const int left = (picture.width - width) / 2;
    const auto taps = scale < 1 ? detail::area_taps : detail::linear_taps;
    auto rounding = scale < 1 ? detail::Rounding::to_even : detail::Rounding::fixed_point;
    if (height == 2 * spec.height && width == 2 * spec.width) rounding = detail::Rounding::halves_up;
    return detail::resample(picture, top, left, taps(height, spec.height), taps(width, spec.width), rounding);
}

// Throws unless the model gave one finite score in [0, 1].
inline float check_score(float score) {
    if (!(score >= -1e-6f && score <= 1.0f + 1e-6f)) throw std::runtime_error("the model gave no score in [0, 1]");
    return std::clamp(score, 0.0f, 1.0f);
}

}  // namespace edge_iqa

#endif
