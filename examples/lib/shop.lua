--[[
The supermarket of checkout.lua and checkout_open.lua: what is on sale, and
its customers: at random, or from a CSV file with a line for each product of
each customer.
]]

local csv = dofile(arg[0]:gsub("[^/]*$", "lib/csv.lua"))

local shop = {}

--- How many seconds a cashier needs for each product.
shop.seconds = { beer = 2, bananas = 0.5, sausage = 0.2, diapers = 0.2 }

local products = { "beer", "bananas", "sausage", "diapers" }

--- A customer with up to nine products.
function shop.customer(number)
  local basket = {}
  for i = 1, math.random(0, 9) do
    basket[i] = products[math.random(#products)]
  end
  return { name = "customer " .. number, basket = basket }
end

function shop.customers(n)
  local customers = {}
  for number = 1, n do customers[number] = shop.customer(number) end
  return customers
end

local function add(basket, product, quantity)
  if not shop.seconds[product] then
    error("not a product: " .. tostring(product), 0)
  end
  for _ = 1, math.tointeger(quantity) or error("not a quantity", 0) do
    basket[#basket + 1] = product
  end
end

--- The customers of a CSV file, in the order of their first lines.
function shop.read_baskets(path)
  local file <close> = assert(io.open(path))
  local customers, by_name = {}, {}
  for _, row in csv.rows(file:read("a")) do
    local customer = by_name[row.customer]
    if not customer then
      customer = { name = row.customer, basket = {} }
      by_name[row.customer] = customer
      customers[#customers + 1] = customer
    end
    add(customer.basket, row.product, row.quantity)
  end
  return customers
end

return shop
