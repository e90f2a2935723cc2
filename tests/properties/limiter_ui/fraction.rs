fn main() {
    anyrt::blocking::CapacityLimiter::new(1).set_total(1.5);
}
