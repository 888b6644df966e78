//! Generates the consent record's types from the schema, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/consentry");
    let files = protox::compile(["proto/consentry/v1/consent.proto"], ["proto"])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
