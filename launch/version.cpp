#include "launch/version.h"

#include <H5public.h>
#include <oneapi/dnnl/dnnl.h>

#include "launch/commit.h"

namespace hearth {

std::string program_name() {
  return fmt::format("hearth {} ({})", HEARTH_VERSION, HEARTH_COMMIT);
}

std::string versions() {
  const dnnl_version_t* dnnl = dnnl_version();
  std::string mpi = MpiSession::library_version();
  mpi = mpi.c_str();  // Open MPI counts its final zero as text
  return fmt::format("{}\ncompiler   GCC {}\nMPI        {}\noneDNN     {}.{}.{}\nHDF5       {}.{}.{}", program_name(),
                     __VERSION__, mpi, dnnl->major, dnnl->minor, dnnl->patch, H5_VERS_MAJOR, H5_VERS_MINOR,
                     H5_VERS_RELEASE);
}

std::string version_text(const Environment& environment) {
  const auto device =
      make_cpu_backend({.threads = default_threads(environment),
                        .bf16_products = has_native_bf16_products() ? Bf16Products::native : Bf16Products::widened,
                        .isa = environment.isa});
  return fmt::format("{}\ndevice     {}\n", versions(), device->description());
}

}  // namespace hearth
