module hot-go

go 1.20
