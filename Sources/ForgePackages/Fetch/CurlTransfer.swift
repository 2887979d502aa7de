import CCurl
import ForgeBase

/// One request of one URL through libcurl, writing into a body; if the body holds bytes already, only the rest is asked.
///
/// libcurl calls back on the thread that drives its multi handle, which is the thread that made the transfer: nothing
/// here is shared between threads.
final class CurlTransfer {
    enum Outcome {
        /// The server's answer is complete and in the body. Its digest is still to be checked.
        case complete
        case problem(FetchProblem)
        /// A failure of this machine (disk full), after which no other server helps.
        case fatal(ForgeError)
    }

    let url: String
    let body: any FetchBody
    /// The handle, for `CurlMulti`.
    let easy: UnsafeMutableRawPointer
    /// Bytes that came in, of those that were written to the body.
    private(set) var received: Int64 = 0
    /// Called with the change of the body's size whenever it changes.
    var onChange: (Int64) -> Void = { _ in }

    private let offset: Int64
    private let options: FetchOptions
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?
    private var begun = false
    private var swallowed = 0
    private var problem: FetchProblem?
    private var fatal: ForgeError?

    /// Prepares the request; nothing is sent before a `CurlMulti` has it.
    init(
        url: String, into body: any FetchBody, options: FetchOptions, request: FetchRequest = FetchRequest()
    ) throws(ForgeError) {
        guard CurlTransfer.ready, let easy = curl_easy_init() else {
            throw ForgeError(.unsupportedHost, "libcurl cannot be started", remedy: "check the installed libcurl4")
        }
        self.url = url
        self.body = body
        self.easy = easy
        self.options = options
        // Local files are read from their start: it costs nothing, and their size is checked first.
        if FetchURL.isLocal(url), body.count > 0 { try body.restart() }
        offset = body.count
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        configure()
        configure(request)
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headers)
        errorText.deallocate()
    }

    /// Once per process; Debian's libcurl does this safely from several threads.
    private static let ready = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// Headers and body.
    private func configure(_ request: FetchRequest) {
        for header in request.headers { headers = curl_slist_append(headers, header) }
        if headers != nil { curl_easy_setopt_ptr(easy, CURLOPT_HTTPHEADER, headers) }
        guard let body = request.body else { return }
        curl_easy_setopt_long(easy, CURLOPT_POST, 1)
        curl_easy_setopt_off(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
        // Copied by libcurl.
        body.withUnsafeBytes { _ = curl_easy_setopt_ptr(easy, CURLOPT_COPYPOSTFIELDS, $0.baseAddress) }
        // CURL_REDIR_POST_ALL: a question stays a question wherever it is sent on to.
        curl_easy_setopt_long(easy, CURLOPT_POSTREDIR, 7)
    }

    private func configure() {
        // User names and passwords in the URL are used by libcurl and never sent to another host. Proxies come from the
        // environment as every libcurl program has them: http_proxy, https_proxy, all_proxy, no_proxy.
        curl_easy_setopt_text(easy, CURLOPT_URL, url)
        curl_easy_setopt_text(easy, CURLOPT_PROTOCOLS_STR, "http,https,file")
        curl_easy_setopt_text(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        curl_easy_setopt_long(easy, CURLOPT_FOLLOWLOCATION, 1)
        curl_easy_setopt_long(easy, CURLOPT_MAXREDIRS, options.maximumRedirects)
        // libcurl before 8.0 loses reused HTTP/2 connections, and eight HTTP/1.1 connections fill a line as well.
        curl_easy_setopt_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        curl_easy_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        curl_easy_setopt_long(easy, CURLOPT_CONNECTTIMEOUT, options.connectTimeout)
        curl_easy_setopt_long(easy, CURLOPT_LOW_SPEED_LIMIT, options.stallBytesPerSecond)
        curl_easy_setopt_long(easy, CURLOPT_LOW_SPEED_TIME, options.stallSeconds)
        curl_easy_setopt_text(easy, CURLOPT_USERAGENT, options.userAgent)
        curl_easy_setopt_ptr(easy, CURLOPT_ERRORBUFFER, errorText)
        // Certificates to trust, as the curl program takes them from the environment.
        if let file = ["CURL_CA_BUNDLE", "SSL_CERT_FILE"].lazy.compactMap(CurlTransfer.environment).first {
            curl_easy_setopt_text(easy, CURLOPT_CAINFO, file)
        }
        if let directory = CurlTransfer.environment("SSL_CERT_DIR") {
            curl_easy_setopt_text(easy, CURLOPT_CAPATH, directory)
        }
        if offset > 0 { curl_easy_setopt_text(easy, CURLOPT_RANGE, "\(offset)-") }
        curl_easy_setopt_ptr(easy, CURLOPT_WRITEDATA, Unmanaged.passUnretained(self).toOpaque())
        curl_easy_setopt_func(easy, CURLOPT_WRITEFUNCTION) { bytes, _, count, context in
            guard let context else { return 0 }
            let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.receive(UnsafeRawBufferPointer(start: bytes, count: count)) ? count : 0
        }
    }

    private static func environment(_ name: String) -> String? {
        curl_getenv(name).flatMap { value in
            defer { curl_free(value) }
            return value.pointee == 0 ? nil : String(cString: value)
        }
    }

    // MARK: Bytes

    private var status: Int { curl_easy_getinfo_long(easy, CURLINFO_RESPONSE_CODE) }

    private var isSuccess: Bool { FetchURL.isLocal(url) || status == 200 || status == 206 }

    /// Takes bytes from libcurl. False ends the transfer; `problem` or `fatal` says why.
    private func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        do {
            guard isSuccess else {
                // An error page: of no use, but a short one read to its end leaves the connection usable.
                swallowed += bytes.count
                return swallowed <= 1 << 16
            }
            guard try begin() else { return false }
            guard body.count + Int64(bytes.count) <= body.limit else {
                problem =
                    body.exactSize.map { .wrongSize(got: body.count + Int64(bytes.count), expected: $0) }
                    ?? .tooLarge(limit: body.limit)
                return false
            }
            try body.append(bytes)
            received += Int64(bytes.count)
            onChange(Int64(bytes.count))
            return true
        } catch {
            fatal = error
            return false
        }
    }

    /// Looks at the head of a successful answer, before the first of its bytes is taken. False if it does not fit.
    private func begin() throws(ForgeError) -> Bool {
        guard !begun else { return true }
        begun = true
        let announced = Int64(curl_easy_getinfo_off(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T))
        if status == 206 {
            guard offset > 0, rangeStart() == offset else {
                try restart()
                problem = .cut(received: 0, expected: body.exactSize)
                return false
            }
        } else if offset > 0 {
            try restart()  // The server knows no ranges and sends the whole file.
        }
        guard announced >= 0 else { return true }
        let whole = body.count + announced
        if let size = body.exactSize, whole != size {
            problem = .wrongSize(got: whole, expected: size)
            return false
        }
        if whole > body.limit {
            problem = .tooLarge(limit: body.limit)
            return false
        }
        return true
    }

    private func restart() throws(ForgeError) {
        onChange(-body.count)
        try body.restart()
    }

    /// Where the bytes of a 206 answer belong, from `Content-Range: bytes <first>-<last>/<size>`.
    private func rangeStart() -> Int64? {
        guard let value = curl_easy_header_value(easy, "Content-Range") else { return nil }
        let text = String(cString: value)
        guard text.lowercased().hasPrefix("bytes ") else { return nil }
        return Int64(text.dropFirst(6).prefix { $0 != "-" })
    }

    // MARK: The end

    /// What became of the transfer; `code` is what libcurl says.
    func outcome(_ code: CURLcode) -> Outcome {
        if let fatal { return .fatal(fatal) }
        if let problem { return .problem(problem) }
        if code == CURLE_OK || code == CURLE_WRITE_ERROR, !isSuccess {
            if status == 401, let challenge = curl_easy_header_value(easy, "WWW-Authenticate") {
                return .problem(.unauthorized(challenge: String(cString: challenge)))
            }
            let wait = Int64(curl_easy_getinfo_off(easy, CURLINFO_RETRY_AFTER))
            return status == 416 && offset > 0 ? discardRange() : .problem(.status(status, retryAfter: Int(wait)))
        }
        guard code == CURLE_OK else { return .problem(classify(code)) }
        do {
            guard try begin() else { return problem.map { .problem($0) } ?? .complete }
        } catch { return .fatal(error) }
        if let size = body.exactSize, body.count < size {
            // Without a Content-Length the end of the connection is the end of the file, wherever it is.
            return .problem(.cut(received: body.count, expected: size))
        }
        return .complete
    }

    /// "Range not satisfiable": the file there is not longer than what is here, so one of them is wrong; start anew.
    private func discardRange() -> Outcome {
        do {
            try restart()
            return .problem(.cut(received: 0, expected: body.exactSize))
        } catch { return .fatal(error) }
    }

    private func classify(_ code: CURLcode) -> FetchProblem {
        let said = String(cString: errorText)
        let text = FetchURL.redacted(said.isEmpty ? String(cString: curl_easy_strerror(code)) : said)
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .unresolved(text)
        case CURLE_COULDNT_CONNECT: return .unreachable(text)
        case CURLE_OPERATION_TIMEDOUT:
            // Zero until the connection stands, TLS included (plain HTTP has no second time).
            let connected = curl_easy_getinfo_off(easy, CURLINFO_PRETRANSFER_TIME_T) > 0
            return connected
                ? .stalled(seconds: options.stallSeconds) : .connectTimeout(seconds: options.connectTimeout)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR:
            return .certificate(text)
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_INITFAILED: return .tls(text)
        case CURLE_PARTIAL_FILE, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING:
            return .cut(received: body.count, expected: body.exactSize)
        case CURLE_FILE_COULDNT_READ_FILE: return .noSuchFile
        case CURLE_TOO_MANY_REDIRECTS: return .redirect(text)
        case CURLE_UNSUPPORTED_PROTOCOL:
            return curl_easy_getinfo_long(easy, CURLINFO_REDIRECT_COUNT) > 0 ? .redirect(text) : .badURL(text)
        case CURLE_URL_MALFORMAT: return .badURL(text)
        default: return .other(text)
        }
    }
}

/// The transfers under way on this thread, and their connections, which later transfers use again.
final class CurlMulti {
    private let multi: UnsafeMutableRawPointer
    private var transfers: [UnsafeMutableRawPointer: CurlTransfer] = [:]

    init(connections: Int) throws(ForgeError) {
        guard let multi = curl_multi_init() else { throw ForgeError(.unsupportedHost, "libcurl cannot be started") }
        self.multi = multi
        curl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, connections)
    }

    deinit {
        for easy in transfers.keys { curl_multi_remove_handle(multi, easy) }
        transfers.removeAll()
        curl_multi_cleanup(multi)
    }

    func add(_ transfer: CurlTransfer) {
        transfers[transfer.easy] = transfer
        curl_multi_add_handle(multi, transfer.easy)
    }

    /// Moves bytes for at most `milliseconds`, or until something has happened; gives back the transfers that ended.
    func run(milliseconds: Int32) -> [(CurlTransfer, CurlTransfer.Outcome)] {
        var running: Int32 = 0
        curl_multi_perform(multi, &running)
        var done = finished()
        if done.isEmpty {
            curl_multi_poll(multi, nil, 0, milliseconds, nil)
            curl_multi_perform(multi, &running)
            done = finished()
        }
        return done
    }

    private func finished() -> [(CurlTransfer, CurlTransfer.Outcome)] {
        var out: [(CurlTransfer, CurlTransfer.Outcome)] = []
        var code = CURLE_OK
        while let easy = curl_multi_next_done(multi, &code) {
            guard let transfer = transfers.removeValue(forKey: easy) else { continue }
            out.append((transfer, transfer.outcome(code)))
            curl_multi_remove_handle(multi, easy)
        }
        return out
    }
}
