module hypr/gateway-bench

go 1.24.0
