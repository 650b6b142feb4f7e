// go_server PORT: hello.lua, and the answers of examples/order_api.lua without
// its queue, on Go's net/http.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"sync/atomic"
)

var came int64

type order struct {
	Order     int64 `json:"order"`
	PowerUser bool  `json:"power_user"`
}

func answer(w http.ResponseWriter, status int, value interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

// isPower tells a power user by true, false, "True" or "False".
func isPower(value interface{}) (power, valid bool) {
	switch value {
	case true, "True":
		return true, true
	case false, "False":
		return false, true
	}
	return false, false
}

func placeOrder(w http.ResponseWriter, r *http.Request) {
	var body struct {
		PowerUser interface{} `json:"power_user"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	power, valid := isPower(body.PowerUser)
	if err != nil || !valid || r.Method != http.MethodPost {
		answer(w, http.StatusBadRequest,
			map[string]string{"error": "power_user: true or false"})
		return
	}
	id := atomic.AddInt64(&came, 1)
	answer(w, http.StatusAccepted, order{id, power})
}

func hello(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]string{"hello": "world"})
}

func main() {
	http.HandleFunc("/order", placeOrder)
	http.HandleFunc("/", hello)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
