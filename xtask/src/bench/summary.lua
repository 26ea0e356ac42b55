-- One line that a program can read, after each run of wrk.
function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("summary %d %d %d %d %d\n",
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.timeout + errors.status,
        latency:percentile(50), latency:percentile(99)))
end
