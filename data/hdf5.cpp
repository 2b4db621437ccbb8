#include "data/hdf5.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"

namespace hearth::hdf5 {

namespace {

/// Holds the lock of HDF5 and keeps it from printing its error stack; hearth says what failed in its own words.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  const Lock lock_;  // first made, last released
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

Handle create_file(const Path& path) {
  const Quiet quiet;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_alignment(access, 0, 64);  // so that a mapped dataset is aligned
  return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), H5Fclose};
}

Handle open_file(const Path& path) {
  const Quiet quiet;
  return {H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose};
}

Handle space_of(std::int64_t count) {
  const auto dim = static_cast<hsize_t>(count);
  return {H5Screate_simple(1, &dim, nullptr), H5Sclose};
}

void choose(hid_t space, std::int64_t first, std::int64_t count) {
  const auto start = static_cast<hsize_t>(first);
  const auto size = static_cast<hsize_t>(count);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &size, nullptr);
}

}  // namespace

OutputFile::OutputFile(const Path& path) : path_(path), file_(create_file(path)) {
  check(file_ >= 0, "a file there");
}

void OutputFile::check(bool done, const std::string& what) const {
  if (done) return;
  std::error_code error;
  const auto space = std::filesystem::space(path_.parent_path(), error);
  fail(Kind::storage, "cannot write {} ({}){}", path_.string(), what,
       error ? "" : fmt::format("; {} bytes are free there", space.available));
}

void OutputFile::attribute(const std::string& name, const std::string& value) {
  const Quiet quiet;
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, value.size() + 1);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(H5Acreate2(file_, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  check(attribute >= 0 && H5Awrite(attribute, type, value.c_str()) >= 0, "attribute " + name);
}

void OutputFile::attribute(const std::string& name, std::int64_t value) {
  const Quiet quiet;
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(H5Acreate2(file_, name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  check(attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0, "attribute " + name);
}

Handle OutputFile::create(const std::string& name, hid_t type, std::int64_t count, hid_t properties) {
  const Quiet quiet;
  const Handle own(properties == H5P_DEFAULT ? H5Pcreate(H5P_DATASET_CREATE) : H5Pcopy(properties), H5Pclose);
  H5Pset_obj_track_times(own, false);
  Handle dataset(H5Dcreate2(file_, name.c_str(), type, space_of(count), H5P_DEFAULT, own, H5P_DEFAULT), H5Dclose);
  check(dataset >= 0, "dataset " + name);
  return dataset;
}

void OutputFile::integers(const std::string& name, std::span<const std::int64_t> values) {
  const Quiet quiet;
  Handle dataset = create(name, H5T_STD_I64LE, static_cast<std::int64_t>(values.size()), H5P_DEFAULT);
  const bool written =
      values.empty() || H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0;
  check(written && dataset.close(), "dataset " + name);
}

void OutputFile::write(hid_t dataset, std::int64_t first, std::span<const std::int32_t> values,
                       const std::string& name) {
  const Quiet quiet;
  const auto count = static_cast<std::int64_t>(values.size());
  const Handle file_space(H5Dget_space(dataset), H5Sclose);
  choose(file_space, first, count);
  check(H5Dwrite(dataset, H5T_NATIVE_INT32, space_of(count), file_space, H5P_DEFAULT, values.data()) >= 0,
        "dataset " + name);
}

void OutputFile::virtual_tokens(const std::string& name, const std::vector<Piece>& pieces) {
  const Quiet quiet;
  std::int64_t total = 0;
  for (const Piece& piece : pieces) total += piece.count;
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  std::int64_t first = 0;
  for (const Piece& piece : pieces) {
    if (piece.count == 0) continue;
    const Handle space = space_of(total);
    choose(space, first, piece.count);
    check(H5Pset_virtual(properties, space, piece.file.c_str(), name.c_str(), space_of(piece.count)) >= 0,
          "mapping of " + name);
    first += piece.count;
  }
  Handle dataset = create(name, H5T_STD_I32LE, total, properties);
  check(dataset.close(), "dataset " + name);
}

void OutputFile::close() {
  const Quiet quiet;
  check(H5Fflush(file_, H5F_SCOPE_GLOBAL) >= 0, "flushing");
  check(file_.close(), "closing");
  sync_path(path_);
}

InputFile::InputFile(const Path& path) : path_(path), bytes_(std::filesystem::file_size(path)), file_(open_file(path)) {
  if (file_ < 0) refuse("it is not an HDF5 file");
}

void InputFile::refuse(const std::string& what) const {
  fail(Kind::integrity,
       "{}: {}. It is not what hearth wrote there: remove the folder {} and start the same command again",
       path_.string(), what, path_.parent_path().string());
}

std::string InputFile::text(const std::string& attribute) const {
  const Quiet quiet;
  const Handle handle(H5Aopen(file_, attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (handle < 0) refuse("it has no attribute " + attribute);
  const Handle type(H5Aget_type(handle), H5Tclose);
  const std::size_t size = H5Tget_size(type);
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || size == 0 || size > 4096) {
    refuse("attribute " + attribute + " is not a short text");
  }
  std::string value(size, '\0');
  if (H5Aread(handle, type, value.data()) < 0) refuse("attribute " + attribute + " cannot be read");
  value.resize(value.find('\0') == std::string::npos ? size : value.find('\0'));
  return value;
}

std::int64_t InputFile::number(const std::string& attribute) const {
  const Quiet quiet;
  const Handle handle(H5Aopen(file_, attribute.c_str(), H5P_DEFAULT), H5Aclose);
  if (handle < 0) refuse("it has no attribute " + attribute);
  const Handle type(H5Aget_type(handle), H5Tclose);
  const Handle space(H5Aget_space(handle), H5Sclose);
  std::int64_t value = 0;
  if (H5Tequal(type, H5T_STD_I64LE) <= 0 || H5Sget_simple_extent_npoints(space) != 1 ||
      H5Aread(handle, H5T_NATIVE_INT64, &value) < 0) {
    refuse("attribute " + attribute + " is not an integer");
  }
  return value;
}

Handle InputFile::open(const std::string& name) const {
  H5L_info_t link;
  if (H5Lget_info(file_, name.c_str(), &link, H5P_DEFAULT) < 0) refuse("it has no dataset " + name);
  if (link.type != H5L_TYPE_HARD) refuse("dataset " + name + " is a link to elsewhere");
  Handle dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (dataset < 0) refuse(name + " in it is not a dataset");
  return dataset;
}

/// The number of elements of a plain dataset: one dim, this type, no filter, no file outside, and no more than the file
/// has room for.
std::int64_t InputFile::count_of(const Handle& dataset, const std::string& name, hid_t type, std::size_t size) const {
  const Handle own_type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const Handle properties(H5Dget_create_plist(dataset), H5Pclose);
  hsize_t dim = 0;
  if (H5Tequal(own_type, type) <= 0) refuse("dataset " + name + " has another element type");
  if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_dims(space, &dim, nullptr) != 1) {
    refuse("dataset " + name + " does not have one dimension");
  }
  if (H5Pget_layout(properties) != H5D_CONTIGUOUS || H5Pget_nfilters(properties) != 0 ||
      H5Pget_external_count(properties) != 0) {
    refuse("dataset " + name + " is not stored end to end within the file");
  }
  if (dim > bytes_ / size)
    refuse(fmt::format("dataset {} claims {} elements in a file of {} bytes", name, dim, bytes_));
  return static_cast<std::int64_t>(dim);
}

std::vector<std::int64_t> InputFile::integers(const std::string& name) const {
  const Quiet quiet;
  const Handle dataset = open(name);
  std::vector<std::int64_t> values(static_cast<std::size_t>(count_of(dataset, name, H5T_STD_I64LE, 8)));
  if (!values.empty() && H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    refuse("dataset " + name + " cannot be read");
  }
  return values;
}

InputFile::Extent InputFile::tokens(const std::string& name) const {
  const Quiet quiet;
  const Handle dataset = open(name);
  Extent extent;
  extent.count = count_of(dataset, name, H5T_STD_I32LE, 4);
  if (extent.count == 0) return extent;
  extent.offset = H5Dget_offset(dataset);
  if (extent.offset == HADDR_UNDEF || extent.offset % 4 != 0 || extent.offset > bytes_ ||
      static_cast<std::uint64_t>(extent.count) > (bytes_ - extent.offset) / 4) {
    refuse("the elements of dataset " + name + " do not lie within the file");
  }
  return extent;
}

}  // namespace hearth::hdf5
