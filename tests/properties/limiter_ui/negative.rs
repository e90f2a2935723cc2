fn main() {
    anyrt::blocking::CapacityLimiter::new(-1);
}
