use super::*;

/// Blocks of `size` values, one per level, with noise above the level.
fn blocks(rng: &mut SmallRng, levels: &[f64], size: usize, added: f64) -> Vec<Vec<u64>> {
    let mut block = |level: f64| -> Vec<u64> {
        (0..size)
            .map(|_| {
                let tail: f64 = rng.random::<f64>().max(1e-9);
                (level + added + 20_000.0 * -tail.ln()) as u64
            })
            .collect()
    };
    levels.iter().map(|level| block(*level)).collect()
}

fn levels(rng: &mut SmallRng, rounds: usize) -> Vec<f64> {
    (0..rounds)
        .map(|_| 200_000.0 + 30_000.0 * rng.random::<f64>())
        .collect()
}

fn compare(baseline: &[Vec<u64>], other: &[Vec<u64>]) -> [Option<Interval>; 4] {
    let bootstrap = Bootstrap::new(baseline.len(), 1);
    let quantiles = |blocks: &[Vec<u64>]| {
        let blocks: Vec<&[u64]> = blocks.iter().map(Vec::as_slice).collect();
        bootstrap.quantiles(&blocks)
    };
    bootstrap.difference(&quantiles(other), &[&quantiles(baseline)])
}

#[test]
fn the_normal_and_student_quantiles_agree_with_published_tables() {
    for (z, tail) in [(0.0, 0.5), (1.959_964, 0.025), (2.497_705, 0.00625)] {
        assert!((normal_tail(z) - tail).abs() < 1e-6, "{z}");
    }
    for (freedom, t) in [(7.0, 2.3646), (19.0, 2.0930), (39.0, 2.0227)] {
        assert!(
            (student_t(Z_SINGLE, freedom) / t - 1.0).abs() < 0.005,
            "{freedom}"
        );
    }
}

#[test]
fn quantiles_are_nearest_ranks_of_all_blocks_together() {
    let odd: Vec<u64> = (1..=10_000)
        .filter(|n| n % 2 == 1)
        .map(|n| n * 1000)
        .collect();
    let even: Vec<u64> = (1..=10_000)
        .filter(|n| n % 2 == 0)
        .map(|n| n * 1000)
        .collect();
    let many = Bootstrap::new(2, 1).quantiles(&[&odd, &even]);
    let expect = [5_000.0, 9_000.0, 9_900.0, 9_990.0].map(Some);
    assert_eq!(many.measured_us(), expect);
    let few = Bootstrap::new(2, 1).quantiles(&[&odd[..250], &even[..250]]);
    assert_eq!(
        few.measured_us().map(|us| us.is_some()),
        [true, true, false, false]
    );
}

#[test]
fn an_added_delay_is_found_through_a_drift_larger_than_it() {
    let mut rng = SmallRng::seed_from_u64(5);
    let levels = levels(&mut rng, 40);
    let baseline = blocks(&mut rng, &levels, 100, 0.0);
    let slower = blocks(&mut rng, &levels, 100, 10_000.0);
    let [p50, p90, p99, p999] = compare(&baseline, &slower);
    let p50 = p50.unwrap();
    assert!(
        (p50.us - 10.0).abs() < 2.0 && p50.half_width() < 3.0 && p50.differs,
        "{p50:?}"
    );
    assert!(p50.low < 10.0 && p50.high > 10.0, "{p50:?}");
    assert!(p90.unwrap().differs && p99.is_some() && p999.is_none());
}

#[test]
fn equal_lanes_differ_no_more_often_than_the_confidence_level_allows() {
    let mut rng = SmallRng::seed_from_u64(11);
    let (mut outside, mut claims) = (0, 0);
    for _ in 0..30 {
        let levels = levels(&mut rng, 20);
        let baseline = blocks(&mut rng, &levels, 60, 0.0);
        let control = blocks(&mut rng, &levels, 60, 0.0);
        let found = compare(&baseline, &control);
        let p50 = found[0].unwrap();
        outside += u32::from(p50.low > 0.0 || p50.high < 0.0);
        claims += u32::from(found.iter().flatten().any(|interval| interval.differs));
    }
    // 1.5 of 30 are expected of each; 6 or more happen one time in 300.
    assert!(outside < 6 && claims < 6, "{outside} {claims}");
}
