package import ForgeBase

extension FetchFailure {
    /// More failures than this are counted, not listed.
    private static let listed = 8

    /// One error for everything that could not be had: what, which places were asked, what each said, and the ways out.
    ///
    /// Exit code 7 if a place has other bytes than were promised, because then somebody should look, 4 otherwise.
    package static func error(_ failures: [FetchFailure], pin: FetchPin) -> ForgeError {
        let wrong = failures.contains(where: \.isWrongBytes)
        let gone = failures.filter(\.isGone)
        var error = ForgeError(wrong ? .verification : .network, message(failures, pin))
        if case .lock(let time?) = pin, failures.contains(where: { $0.hex != nil }) {
            error.details.append("the lock is of \(time)")
        }
        // The gravest first, so that the list's end cuts off what matters least.
        let ordered = failures.filter(\.isWrongBytes) + failures.filter { !$0.isWrongBytes }
        for failure in ordered.prefix(listed) {
            if failures.count > 1 { error.details.append("\(failure.name):") }
            for attempt in failure.attempts {
                let kind = attempt.isSnapshot ? " (snapshot)" : ""
                error.details.append("\(failures.count > 1 ? "  " : "")\(attempt.url)\(kind): \(attempt.problem)")
            }
            if failure.attempts.isEmpty {
                error.details.append("\(failures.count > 1 ? "  " : "")no place to ask is known")
            }
        }
        if ordered.count > listed { error.details.append("and \(ordered.count - listed) more") }
        error.remedy =
            switch pin {
            case .lock: remedy(failures, wrong: wrong, gone: !gone.isEmpty)
            case .recipe, .lockedFiles, .lockedImages: ownRemedy(pin, wrong: wrong, gone: !gone.isEmpty)
            }
        return error
    }

    private static func message(_ failures: [FetchFailure], _ pin: FetchPin) -> String {
        let recipe = pin == .recipe
        let gone = if case .lock = pin { "no longer offered by the mirrors" } else { "not there" }
        let names = failures.map(\.name)
        if names.count == 1, let name = names.first, let failure = failures.first {
            if failure.isWrongBytes {
                return "\(name): the bytes offered are not those that the \(recipe ? "recipe" : "lock") names"
            }
            return failure.isGone && failure.hex != nil ? "\(name) is \(gone)" : "cannot download \(name)"
        }
        let some = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "")
        if failures.allSatisfy({ $0.isGone && !$0.isWrongBytes && $0.hex != nil }) {
            return "\(names.count) files are \(gone): \(some)"
        }
        return "cannot download \(names.count) files: \(some)"
    }

    /// The ways out where the recipe itself says where the bytes are.
    private static func ownRemedy(_ pin: FetchPin, wrong: Bool, gone: Bool) -> String {
        let other = pin == .lockedImages ? "--mirror REGISTRY=URL" : "`url` takes a list"
        if wrong {
            let change =
                switch pin {
                case .recipe: "put the new sha256 into the recipe"
                case .lockedImages: "run `forge lock --update`"
                default: "run `forge lock --update`, or put the new sha256 into the recipe"
                }
            return "if the file was meant to change, look at it and \(change); if not, do not trust this place, and "
                + "name another one: \(other)"
        }
        if gone {
            let change =
                pin == .lockedImages
                ? "take what the registry has now with `forge lock --update`" : "correct the address"
            return "\(change), or name another place that has it: \(other)"
        }
        return "check the address and the network (proxies are read from http_proxy and https_proxy), or name a mirror "
            + "with --mirror HOST=URL; what is complete is kept, and a second run goes on from there"
    }

    private static func remedy(_ failures: [FetchFailure], wrong: Bool, gone: Bool) -> String {
        if wrong {
            return "the mirror is out of date or was tampered with: name another one with --mirror; if all agree, run "
                + "`forge lock --update` and look at what changes"
        }
        guard failures.contains(where: { $0.hex != nil }) else {
            return
                "check the address and the network (proxies are read from http_proxy and https_proxy), or name another "
                + "mirror with --mirror"
        }
        if gone {
            let snapshot = failures.contains { $0.attempts.contains(where: \.isSnapshot) }
            return "name a mirror that still has it with --mirror, \(snapshot ? "another" : "a") snapshot service with "
                + "--snapshot, or take today's versions with `forge lock --update`"
        }
        return "check the network (proxies are read from http_proxy and https_proxy), or name another mirror with "
            + "--mirror; what is complete is kept, and a second run goes on from there"
    }
}
