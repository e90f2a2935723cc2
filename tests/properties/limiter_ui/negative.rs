fn main() {
    anyrt::CapacityLimiter::new(-1);
}
