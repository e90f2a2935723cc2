fn main() {
    anyrt::CapacityLimiter::new(1).set_total(1.5);
}
