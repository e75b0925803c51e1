module coderunner/compile

go 1.24
