//! The `consentry` command.

/// Serves librdkafka's C code too: half of what a record costs beyond its bytes is small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    consentry::cli::main()
}
