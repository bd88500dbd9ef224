"""The operations on customers."""

from http import HTTPStatus
from typing import Final

from api.calls import Operation
from api.customers.changing import change_customer
from api.customers.deleting import delete_customer
from api.customers.fields import CustomerChangesBody, NewCustomerBody
from api.customers.reading import CustomerListQuery, get_customer, list_customers
from api.customers.registering import create_customer
from schemas.customers import Customer, CustomerDetail, DeletedCustomer

CUSTOMER_OPERATIONS: Final = (
    Operation(
        name="createCustomer",
        summary="Create a customer",
        method="POST",
        path="/customers",
        scope="customers:write",
        handle=create_customer,
        answer=Customer,
        status=HTTPStatus.CREATED,
        body=NewCustomerBody,
        # under its Idempotency-Key, once the customer was deleted
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="getCustomer",
        summary="Retrieve a customer",
        method="GET",
        path="/customers/{customer_id}",
        scope="customers:read",
        handle=get_customer,
        answer=CustomerDetail,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="updateCustomer",
        summary="Update a customer",
        method="PATCH",
        path="/customers/{customer_id}",
        scope="customers:write",
        handle=change_customer,
        answer=Customer,
        body=CustomerChangesBody,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="deleteCustomer",
        summary="Delete a customer",
        method="DELETE",
        path="/customers/{customer_id}",
        scope="customers:write",
        handle=delete_customer,
        answer=DeletedCustomer,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="listCustomers",
        summary="List customers",
        method="GET",
        path="/customers",
        scope="customers:read",
        handle=list_customers,
        answer=Customer,
        listed=True,
        query=CustomerListQuery,
    ),
)
