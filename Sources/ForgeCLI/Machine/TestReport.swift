import ForgeBase

/// What came of one boot of one test.
struct TestReport {
    /// A check that was made.
    struct Check {
        var name: String
        /// From power-on to its end.
        var seconds: Double
        /// Nil: it holds.
        var failure: String?
    }

    var name: String
    var seconds = 0.0
    /// Until every machine answered; nil if one did not.
    var bootSeconds: Double?
    private(set) var checks: [Check] = []
    /// What is wrong, of checks and of the boot.
    var failures: [String] = []

    init(name: String) { self.name = name }

    mutating func add(_ name: String, after seconds: Double, _ failure: String?) {
        checks.append(Check(name: name, seconds: seconds, failure: failure))
        if let failure { failures.append("\(name): \(failure)") }
    }

    var json: JSON {
        .object([
            ("test", .string(name)), ("passed", .bool(failures.isEmpty)), ("seconds", .double(seconds)),
            ("boot_seconds", bootSeconds.map(JSON.double) ?? .null),
            (
                "checks",
                .array(
                    checks.map {
                        .object([
                            ("check", .string($0.name)), ("passed", .bool($0.failure == nil)),
                            ("seconds", .double($0.seconds)),
                        ])
                    })
            ),
            ("failures", .array(failures.map(JSON.string))),
        ])
    }
}
