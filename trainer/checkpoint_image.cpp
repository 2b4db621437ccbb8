#include "trainer/checkpoint_image.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "base/error.h"
#include "data/hdf5.h"

namespace hearth {

namespace {

using hdf5::Handle;

/// Keeps HDF5 from printing its error stack while it lives, and others out of it.
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
  const hdf5::Lock lock_;  // first made, last released
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// What HDF5's driver interface calls a file. `base` is first: HDF5 knows no more of it.
struct ImageFile {
  H5FD_t base{};
  Hdf5Image* image = nullptr;
  haddr_t allocated = 0;
};

ImageFile* of(H5FD_t* file) {
  return reinterpret_cast<ImageFile*>(file);
}
const ImageFile* of(const H5FD_t* file) {
  return reinterpret_cast<const ImageFile*>(file);
}

H5FD_t* open_image(const char*, unsigned, hid_t access, haddr_t) {
  const auto* image = static_cast<Hdf5Image* const*>(H5Pget_driver_info(access));
  if (image == nullptr) return nullptr;
  auto* file = new (std::nothrow) ImageFile;
  if (file == nullptr) return nullptr;
  file->image = *image;
  return &file->base;
}

herr_t close_image(H5FD_t* file) {
  of(file)->image->grow(of(file)->allocated);
  delete of(file);
  return 0;
}

herr_t query_image(const H5FD_t*, unsigned long* features) {
  *features = 0;
  return 0;
}

haddr_t allocated_end(const H5FD_t* file, H5FD_mem_t) {
  return of(file)->allocated;
}
haddr_t written_end(const H5FD_t* file, H5FD_mem_t) {
  return of(file)->image->size();
}

herr_t allocate_to(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  of(file)->allocated = end;
  return 0;
}

herr_t read_image(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, void* into) {
  of(file)->image->read(at, into, bytes);
  return 0;
}

herr_t write_image(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, std::size_t bytes, const void* from) {
  try {
    of(file)->image->write(at, from, bytes);
    return 0;
  } catch (const std::exception&) {  // out of memory; nothing may be thrown through C
    return -1;
  }
}

H5FD_class_t driver() {
  H5FD_class_t table{};
  table.name = "hearth_image";
  table.maxaddr = HADDR_MAX >> 1;
  table.fc_degree = H5F_CLOSE_STRONG;
  table.fapl_size = sizeof(Hdf5Image*);
  table.open = open_image;
  table.close = close_image;
  table.query = query_image;
  table.get_eoa = allocated_end;
  table.set_eoa = allocate_to;
  table.get_eof = written_end;
  table.read = read_image;
  table.write = write_image;
  return table;
}

}  // namespace

void Hdf5Image::read(std::uint64_t offset, void* into, std::size_t bytes) const {
  auto* to = static_cast<char*>(into);
  while (bytes > 0) {
    const std::size_t within = offset % page_bytes;
    const std::size_t count = std::min(bytes, page_bytes - within);
    const auto page = pages_.find(offset / page_bytes);
    page == pages_.end() ? std::memset(to, 0, count) : std::memcpy(to, page->second.data() + within, count);
    to += count;
    offset += count;
    bytes -= count;
  }
}

void Hdf5Image::write(std::uint64_t offset, const void* from, std::size_t bytes) {
  const auto* next = static_cast<const char*>(from);
  grow(offset + bytes);
  while (bytes > 0) {
    const std::size_t within = offset % page_bytes;
    const std::size_t count = std::min(bytes, page_bytes - within);
    std::memcpy(pages_[offset / page_bytes].data() + within, next, count);
    next += count;
    offset += count;
    bytes -= count;
  }
}

Hdf5Image describe_hdf5(const std::function<bool(hid_t file)>& describe, H5F_libver_t oldest_reader) {
  const Quiet quiet;
  Hdf5Image image;
  const H5FD_class_t table = driver();
  const Handle driver_id(H5FDregister(&table), H5FDunregister);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const Hdf5Image* place = &image;
  require(H5Pset_driver(access, driver_id, &place) >= 0 && H5Pset_alignment(access, 1024, 64) >= 0 &&
              H5Pset_libver_bounds(access, oldest_reader, H5F_LIBVER_LATEST) >= 0,
          "HDF5 takes a driver");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation, false);  // equal contents are equal bytes
  Handle file(H5Fcreate("image", H5F_ACC_TRUNC, creation, access), H5Fclose);
  require(file >= 0 && describe(file) && file.close(), "HDF5 describes a file in memory");
  return image;
}

}  // namespace hearth
