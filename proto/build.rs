//! Generates the types of consent records and of held records from their schemas, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/consentry");
    let files =
        protox::compile(["proto/consentry/v1/consent.proto", "proto/consentry/v1/held.proto"], ["proto"])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
