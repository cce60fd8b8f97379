//! How fast copying is. Run with `--ignored --nocapture`; nothing is judged.

mod support;

use hull_ports::{Archives as _, PutOptions};
use std::fs;
use std::path::Path;
use std::time::Instant;
use support::{Container, collect};

#[tokio::test]
#[ignore = "prints how fast copying is"]
async fn twenty_thousand_files_both_ways() {
    let container = Container::new();
    for dir in 0..100 {
        let dir = container.lower().join(format!("many/{dir}"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..200u32 {
            fs::write(dir.join(format!("file-{file}")), vec![b'x'; 1000 + file as usize * 100]).unwrap();
        }
    }
    for round in 0..3 {
        let begun = Instant::now();
        let (_, got) = container.driver.get(&container.tree, Path::new("/many")).await.unwrap();
        let bytes = collect(got).await.unwrap();
        let (took, size) = (begun.elapsed(), bytes.len() as f64 / 1e6);
        println!("get: {size:.0} MB in {took:?}, {:.0} MB/s", size / took.as_secs_f64());
        let target = format!("/dir/{round}");
        fs::create_dir_all(container.upper().join(&target[1..])).unwrap();
        let archive = support::stream(bytes);
        let begun = Instant::now();
        container
            .driver
            .put(&container.tree, Path::new(&target), archive, PutOptions::default())
            .await
            .unwrap();
        let took = begun.elapsed();
        println!("put: {size:.0} MB in {took:?}, {:.0} MB/s", size / took.as_secs_f64());
    }
    let begun = Instant::now();
    let sizes = container.driver.sizes(&container.tree.rootfs).await.unwrap();
    println!("sizes: {sizes:?} in {:?}", begun.elapsed());
    let begun = Instant::now();
    container.driver.sizes(&container.tree.rootfs).await.unwrap();
    println!("sizes again: {:?}", begun.elapsed());
}
